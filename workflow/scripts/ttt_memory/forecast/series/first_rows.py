"""The first rows of a table, looked at before any job runs; nothing here needs PyTorch."""

from . import cells, columns
from .config import TableDataset


def look(config: TableDataset, rows: int) -> None:
    """Read the columns and the first rows of a table, as `make` would read all of them.

    Raises:
        UserError: as `make`, for a column or a cell of these rows.
    """
    # Where jobs have an environment of their own, a package may be in that one alone.
    if not columns.installed(config.path):
        return
    path = columns.locate(config.path)
    whole = columns.read(path, config, rows)
    for column in (*config.features, config.target):
        cells.numbers(path, config, whole[column])
    # Without the zone: the second half of a repeated hour may be in a later row.
    as_written = config.model_copy(update={"time_zone": None})
    cells.times(path, as_written, whole[config.time])
