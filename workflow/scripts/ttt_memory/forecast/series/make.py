"""One entry point for every source of series."""

from ..config import ArrayDataset, Dataset, SineDataset
from . import arrays, sine, table
from .data import Series


def make(config: Dataset) -> Series:
    """The dataset of `config`, standardised and split. Raises `UserError` on bad input."""
    if isinstance(config, SineDataset):
        return sine.make(config)
    if isinstance(config, ArrayDataset):
        return arrays.make(config)
    return table.make(config)
