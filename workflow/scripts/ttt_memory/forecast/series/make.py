"""Make the series of a dataset, whatever its source."""

from . import arrays, sine, switch, table
from .config import ArrayDataset, Dataset, SineDataset, SwitchDataset
from .dataset import Series


def make(config: Dataset) -> Series:
    """The series that `config` describes, split and standardised.

    Raises:
        UserError: an input file is missing, unreadable or does not fit the configuration.
    """
    if isinstance(config, SineDataset):
        return sine.make(config)
    if isinstance(config, SwitchDataset):
        return switch.make(config)
    if isinstance(config, ArrayDataset):
        return arrays.make(config)
    return table.make(config)
