"""Series from a CSV or Parquet table with one row per time; missing cells are dealt with first."""

import importlib.metadata
import itertools
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import UserError
from .config import TableDataset
from .dataset import SPLITS, Series
from .windows import Record, cut


def make(config: TableDataset) -> Series:
    """The series of `config`.

    Raises:
        UserError: the file or a column is missing, times are unsorted or repeat, a cell is missing
            or is not a number, a column is constant, or a part has too few rows.
    """
    frame = _read(locate(config.path), config)
    groups = {"": frame}
    if config.group:
        groups = {str(name): rows for name, rows in frame.groupby(config.group, sort=True)}
    groups = {name: _complete(config, name, rows) for name, rows in groups.items()}
    bounds = _bounds(config, groups)
    records = {split: [] for split in SPLITS}
    for name, rows in groups.items():
        for split, (start, end) in bounds.items():
            part = rows[(rows.index >= start) & (rows.index < end)]
            records[split] += [
                _record(config, name, stretch) for stretch in _stretches(config, part)
            ]
    for split in SPLITS:
        if not records[split]:
            raise UserError(f"{config.path}: no rows in the {split} part")
    channels = (*config.features, config.target)
    return cut(records, channels, config, config.path, standardise=True)


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


def _read(path: Path, config: TableDataset) -> pd.DataFrame:
    """The needed columns in the file's order, with times parsed and numbers checked."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        whole = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable table ({error})") from error
    numbers = [*config.features, config.target]
    for column in [config.time, *numbers, *([config.group] if config.group else [])]:
        if column not in whole.columns:
            known = ", ".join(map(str, whole.columns))
            raise UserError(f"{path}: column {column!r} is missing; the file has {known}")
    if config.duplicates == "drop":
        whole = whole.drop_duplicates()
    frame = pd.DataFrame({"time": _times(path, whole[config.time])})
    if config.group:
        frame[config.group] = whole[config.group]
    for column in numbers:
        frame[column] = _numbers(path, whole[column])
    if config.since is not None:
        frame = frame[frame["time"] >= _times(path, pd.Series([config.since]))[0]]
    if frame.empty:
        since = f" since {config.since}" if config.since else ""
        raise UserError(f"{path}: 0 rows{since}, expected at least 3 x length {config.length}")
    return frame


def _times(path: Path, column: pd.Series) -> pd.Series:
    times = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    if times.isna().any():
        bad = column[times.isna()].iloc[0]
        raise UserError(
            f"{path}: column {column.name!r}: found {bad!r}, expected a time like 2013-01-01 06:00"
        )
    return times


def _numbers(path: Path, column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    wrong = (numbers.isna() & column.notna()) | np.isinf(numbers)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"{path}: column {column.name!r}, row {row + 1}: found {column.iloc[row]!r}, expected"
            " a finite number"
        )
    return numbers


def _complete(config: TableDataset, name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """One group's rows indexed by time, with missing rows and cells dealt with as configured.

    A column `scored` is false where the target was missing.
    """
    where = f"{config.path}: {config.group} {name!r}" if config.group else config.path
    times = rows["time"]
    if times.duplicated().any():
        raise UserError(
            f"{where}: time {times[times.duplicated()].iloc[0]} occurs twice; expected one row for"
            " each time (`duplicates: drop` keeps one of several equal rows)"
        )
    if not times.is_monotonic_increasing:
        late = times[times.diff() < pd.Timedelta(0)].iloc[0]
        raise UserError(
            f"{where}: times are not sorted; {late} follows a later time, expected ascending times"
        )
    numbers = [*config.features, config.target]
    rows = rows.set_index("time")[numbers]
    if config.step:
        rows = _on_grid(config, where, rows)
    missing = rows.isna()
    if config.missing == "error" and missing.to_numpy().any():
        column = missing.any()[missing.any()].index[0]
        at = rows.index[missing[column]][0]
        raise UserError(
            f"{where}: column {column!r} is empty at {at}; expected a value, or `missing: drop` or"
            " `missing: carry` in the configuration"
        )
    if config.missing == "drop":
        rows = rows[~missing.any(axis=1)]
        if rows.empty:
            raise UserError(f"{where}: every row has a missing cell; expected some complete rows")
    scored = rows[config.target].notna()
    return rows.ffill().assign(scored=scored)


def _on_grid(config: TableDataset, where: str, rows: pd.DataFrame) -> pd.DataFrame:
    try:
        grid = pd.date_range(rows.index[0], rows.index[-1], freq=config.step)
    except ValueError as error:
        raise UserError(
            f"{where}: found step {config.step!r}, expected one like 1h or 10min"
        ) from error
    off = rows.index.difference(grid)
    if len(off):
        raise UserError(f"{where}: time {off[0]} is not on the grid of step {config.step}")
    return rows.reindex(grid)


def _bounds(config: TableDataset, groups: dict[str, pd.DataFrame]) -> dict:
    """First time and end (exclusive) of each split, the same for all groups."""
    times = pd.DatetimeIndex(np.unique(np.concatenate([rows.index for rows in groups.values()])))
    if times.tz is None:
        times = times.tz_localize("UTC")
    if len(times) < 3:
        raise UserError(f"{config.path}: {len(times)} rows, expected at least 3 x length")
    train = int(len(times) * config.fractions[0])
    valid = int(len(times) * (config.fractions[0] + config.fractions[1]))
    edges = [times[0], times[train], times[valid], times[-1] + pd.Timedelta(1, "ns")]
    return dict(zip(SPLITS, itertools.pairwise(edges), strict=True))


def _stretches(config: TableDataset, part: pd.DataFrame) -> list[pd.DataFrame]:
    """`part`, cut where the step between two times is longer than the most frequent step."""
    steps = part.index.to_series().diff()
    if config.gaps == "join" or len(part) < 3:
        return [part] if len(part) else []
    stretch = (steps > steps.mode().iloc[0]).cumsum().to_numpy()
    return [rows for _, rows in part.groupby(stretch)]


def _record(config: TableDataset, name: str, part: pd.DataFrame) -> Record:
    values = part[[*config.features, config.target]].to_numpy(float)
    return Record(
        name,
        values,
        part["scored"].to_numpy(bool),
        [time.strftime("%Y-%m-%d %H:%M") for time in part.index],
    )
