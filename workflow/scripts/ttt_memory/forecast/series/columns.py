"""The columns of a CSV or Parquet table: their names in the file, and the cells as text."""

import csv
import difflib
import importlib.metadata
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import UserError
from .config import TableDataset

PARQUET = (".parquet", ".pq")
SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}


def installed(path: str) -> bool:
    """Whether `path` is a file's, or that of a file in a package that is installed."""
    if not path.startswith("package:"):
        return True
    try:
        importlib.metadata.distribution(path.removeprefix("package:").partition("/")[0])
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def locate(path: str) -> Path:
    """The file that `path` names; `package:DISTRIBUTION/FILE` is a file of an installed package.

    It is found through the metadata of the package, which is not imported.

    Raises:
        UserError: the package is not installed or has no such file.
    """
    if not path.startswith("package:"):
        return Path(path)
    distribution, _, file = path.removeprefix("package:").partition("/")
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"{path}: package {distribution} is not installed; run pip install {distribution}"
        ) from error
    for found in files:
        if str(found) == file or str(found).endswith(f"/{file}"):
            return Path(found.locate())
    raise UserError(f"{path}: package {distribution} has no file {file}")


def read(path: Path, config: TableDataset, rows: int | None = None) -> pd.DataFrame:
    """The table in `path`, or its first `rows`, with the configured names for columns.

    Cells of a CSV are text, and NaN where they are empty. Columns of a Parquet file are as they
    are; its index, which pandas writes where it is no row number, is a column too.

    Raises:
        UserError: the file is unreadable, or a column that `config` names is missing or occurs
            twice.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        frame = _parquet(path, rows) if path.suffix in PARQUET else _csv(path, config, rows)
    except UserError:
        raise
    except (OSError, ValueError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        told = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable table ({told})") from error
    return _named(path, config, frame)


def needed(config: TableDataset) -> list[str]:
    """The columns that a configuration names, the time first."""
    return [
        config.time,
        *config.features,
        config.target,
        *([config.group] if config.group else []),
    ]


def shown(value: object) -> str:
    """A cell as a person writes it, without NumPy's type."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def by_group(
    config: TableDataset, whole: pd.DataFrame, column: pd.Series
) -> list[tuple[str, pd.Series]]:
    """A column by the name of its group; one without a name if there are no groups."""
    if not config.group:
        return [("", column)]
    return [(str(name), rows) for name, rows in column.groupby(whole[config.group], sort=True)]


def _csv(path: Path, config: TableDataset, rows: int | None) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file, delimiter=config.separator), [])
    if not any(header):
        raise UserError(f"{path}: found no header, expected a first row with the column names")
    frame = pd.read_csv(
        path,
        sep=config.separator,
        header=0,
        # Numbers, since pandas would rename the second of two equal names.
        names=range(len(header)),
        index_col=False,
        dtype=str,
        nrows=rows,
        encoding="utf-8-sig",
    )
    frame.columns = pd.Index(header, dtype=object)
    return frame


def _parquet(path: Path, rows: int | None) -> pd.DataFrame:
    file = pq.ParquetFile(path)
    if rows is None:
        table = file.read()
    else:
        first = next(file.iter_batches(rows), None)
        table = pa.Table.from_batches([first] if first else [], file.schema_arrow)
    names = table.column_names
    if len(set(names)) < len(names):
        # pandas refuses names that repeat; which of them matter is known later.
        frame = table.rename_columns(list(map(str, range(len(names))))).to_pandas()
        return frame.set_axis(pd.Index(names, dtype=object), axis=1)
    return _with_index(table.to_pandas())


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an index that is no row number as columns; one without a name is `index`."""
    if isinstance(frame.index, pd.RangeIndex) and frame.index.name is None:
        return frame
    return frame.reset_index()


def _named(path: Path, config: TableDataset, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the names of `config` in place of the file's, where both are one text.

    Two texts are one if they differ in nothing but how Unicode writes their letters.
    """
    found = [_normal(str(name)) for name in frame.columns]
    for column in needed(config):
        places = [place for place, name in enumerate(found) if name == _normal(column)]
        if len(places) > 1:
            raise UserError(
                f"{path}: columns {' and '.join(str(place + 1) for place in places)} are both"
                f" called {column!r}; expected one of this name"
            )
        if not places:
            raise UserError(f"{path}: column {column!r} is missing; {_hint(frame, column)}")
        found[places[0]] = column
    return frame.set_axis(pd.Index(found, dtype=object), axis=1)


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _hint(frame: pd.DataFrame, column: str) -> str:
    """What the file has in place of `column`."""
    names = [str(name) for name in frame.columns]
    if len(names) == 1:
        within = [mark for mark in SEPARATORS if mark in names[0]]
        if within:
            return (
                f"the file has one column, {names[0]!r}: is {SEPARATORS[within[0]]} its"
                f" `separator`?"
            )
    # Blanks around a name and capitals are easily overlooked in a list.
    plain = {unicodedata.normalize("NFKC", name).strip().casefold(): name for name in names}
    near = difflib.get_close_matches(
        unicodedata.normalize("NFKC", column).strip().casefold(), plain, n=1, cutoff=0.8
    )
    meant = "".join(f"; is {plain[name]!r} meant?" for name in near)
    return f"the file has {', '.join(map(repr, names))}{meant}"
