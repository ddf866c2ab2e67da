"""Series from a CSV or Parquet table with one row per time; missing cells are dealt with first."""

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import UserError
from . import cells, columns
from .config import TableDataset
from .dataset import SPLITS, Series
from .windows import Record, cut


def make(config: TableDataset) -> Series:
    """The series of `config`.

    Raises:
        UserError: the file or a column is missing, times are unsorted or repeat, a cell is missing
            or is not a number, a column is constant, or a part has too few rows.
    """
    left_out: Counter[str] = Counter()
    groups = _groups(columns.locate(config.path), config, left_out)
    groups = {name: _complete(config, name, rows, left_out) for name, rows in groups.items()}
    bounds = _bounds(config, groups)
    records = {split: [] for split in SPLITS}
    for name, rows in groups.items():
        for split, span in bounds.items():
            records[split] += _records(config, name, rows, split, *span)
    for split in SPLITS:
        if not records[split]:
            raise UserError(f"{config.path}: no rows in the {split} part")
    channels = (*config.features, config.target)
    advice = _advice(config, groups)
    by_group = config.scale == "group"
    series = cut(
        records, channels, config, config.path, standardise=True, by_group=by_group, advice=advice
    )
    usage = replace(series.usage, left_out=dict(+left_out))
    if config.group:
        long = {
            split: {record.name for record in found if len(record.values) >= config.length}
            for split, found in records.items()
        }
        short = tuple(name for name in groups if not any(name in found for found in long.values()))
        counts = {split: len(found) for split, found in long.items()}
        usage = replace(usage, groups=counts, short=short)
    return replace(series, usage=usage, step=_step(config, groups))


def _groups(path: Path, config: TableDataset, left_out: Counter[str]) -> dict[str, pd.DataFrame]:
    """The needed columns of each group in the file's order, times parsed and numbers checked.

    What is left out is added to `left_out`.
    """
    whole = columns.read(path, config)
    if config.duplicates == "drop":
        equal = whole.duplicated()
        left_out["that equal an earlier row"] += int(equal.sum())
        whole = whole[~equal]
    if config.group:
        whole = _with_group(path, config, whole, left_out)
    numbers = [*config.features, config.target]
    parsed = {column: cells.numbers(path, config, whole[column]) for column in numbers}
    since, until = (_moment(config, moment) for moment in (config.since, config.until))
    groups = {}
    for name, times in columns.by_group(config, whole, whole[config.time]):
        times = cells.times(path, config, times)
        early = times < since if since is not None else times.isna()
        late = times >= until if until is not None else times.isna()
        left_out["before `since`"] += int(early.sum())
        left_out["from `until` on"] += int(late.sum())
        kept = times[~early & ~late]
        frame = pd.DataFrame({"time": kept})
        for column in numbers:
            frame[column] = parsed[column].loc[kept.index]
        if len(frame):
            groups[name] = frame
    if not groups:
        dates = {"since": config.since, "until": config.until}
        told = "".join(f" {key} {date}" for key, date in dates.items() if date)
        raise UserError(f"{path}: 0 rows{told}, expected at least 3 x length {config.length}")
    return groups


def _with_group(
    path: Path, config: TableDataset, whole: pd.DataFrame, left_out: Counter[str]
) -> pd.DataFrame:
    """The rows that name their group."""
    group = whole[config.group]
    empty = group.isna() | (group.astype(str).str.strip() == "")
    if empty.any() and config.missing == "error":
        row, more = whole.index[empty][0] + 1, int(empty.sum()) - 1
        raise UserError(
            f"{path}: column {config.group!r} is empty in row {row} and {more} more;"
            " expected the name of a group, or `missing: drop` or `missing: carry` in the"
            " configuration, which leave such rows out"
        )
    left_out[f"without a {config.group}"] += int(empty.sum())
    return whole[~empty]


def _moment(config: TableDataset, moment: str | None) -> pd.Timestamp | None:
    """A time of the configuration in UTC."""
    if moment is None:
        return None
    time = pd.Timestamp(moment)
    if time.tzinfo is None:
        time = time.tz_localize(
            config.time_zone or "UTC", ambiguous=True, nonexistent="shift_forward"
        )
    return time.tz_convert("UTC")


def _complete(
    config: TableDataset, name: str, rows: pd.DataFrame, left_out: Counter[str]
) -> pd.DataFrame:
    """One group's rows indexed by time, with missing rows and cells dealt with as configured.

    A column `scored` is false where the target was missing.
    """
    where = f"{config.path}: {config.group} {name!r}" if config.group else config.path
    _check_order(config, where, rows["time"])
    rows = rows.set_index("time")[[*config.features, config.target]]
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
        incomplete = missing.any(axis=1)
        left_out["with a missing cell"] += int(incomplete.sum())
        rows = rows[~incomplete]
        if rows.empty:
            raise UserError(f"{where}: every row has a missing cell; expected some complete rows")
    scored = rows[config.target].notna()
    return rows.ffill().assign(scored=scored)


def _check_order(config: TableDataset, where: str, times: pd.Series) -> None:
    """Times ascend and none repeats."""
    if times.duplicated().any():
        ways = []
        if config.duplicates == "error":
            ways.append("`duplicates: drop` keeps one of several equal rows")
        if config.time_zone is None:
            ways.append("`time_zone` tells apart the hour that clocks repeat in autumn")
        if config.group is None:
            ways.append("`group` names the column of a table of several series")
        raise UserError(
            f"{where}: time {times[times.duplicated()].iloc[0]} occurs twice; expected one row for"
            f" each time" + (f" ({'; '.join(ways)})" if ways else "")
        )
    if not times.is_monotonic_increasing:
        late = times[times.diff() < pd.Timedelta(0)].iloc[0]
        raise UserError(
            f"{where}: times are not sorted; {late} follows a later time, expected ascending times"
        )


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
    if config.valid_from and config.test_from:
        inner = [_moment(config, config.valid_from), _moment(config, config.test_from)]
    else:
        train = int(len(times) * config.fractions[0])
        valid = int(len(times) * (config.fractions[0] + config.fractions[1]))
        inner = [times[train], times[valid]]
    edges = [times[0], *inner, times[-1] + pd.Timedelta(1, "us")]
    return dict(zip(SPLITS, itertools.pairwise(edges), strict=True))


def _records(
    config: TableDataset,
    name: str,
    rows: pd.DataFrame,
    split: str,
    start: pd.Timestamp,
    end: pd.Timestamp,
) -> list[Record]:
    """The stretches of one group's `rows` from `start` to `end`.

    A stretch of validation or test that goes on from the split before has some of its samples as
    history, so that its first samples are forecast too.
    """
    inside = np.flatnonzero((rows.index >= start) & (rows.index < end))
    stretches = _stretches(config, rows)
    found = []
    for stretch in dict.fromkeys(stretches[inside]):
        own = inside[stretches[inside] == stretch]
        begin = int(np.searchsorted(stretches, stretch))
        history = 0 if split == "train" else min(own[0] - begin, config.first_scored)
        part = rows.iloc[own[0] - history : own[-1] + 1]
        values = part[[*config.features, config.target]].to_numpy(float)
        labels = [time.strftime("%Y-%m-%d %H:%M") for time in part.index]
        found.append(Record(name, values, part["scored"].to_numpy(bool), labels, history))
    return found


def _stretches(config: TableDataset, rows: pd.DataFrame) -> np.ndarray:
    """The number of the stretch of each row; a step above the most frequent one begins another."""
    steps = rows.index.to_series().diff()
    if config.gaps == "join" or len(rows) < 3:
        return np.zeros(len(rows), int)
    return (steps > steps.mode().iloc[0]).cumsum().to_numpy()


def _step(config: TableDataset, groups: dict[str, pd.DataFrame]) -> float | None:
    """Seconds between two samples of a window; None if that is not the same everywhere."""
    steps = pd.concat([rows.index.to_series().diff().dropna() for rows in groups.values()])
    if steps.empty or (config.gaps == "join" and steps.nunique() > 1):
        return None
    return float(steps.mode().iloc[0].total_seconds())


def _advice(config: TableDataset, groups: dict[str, pd.DataFrame]) -> str:
    """What may help against short stretches, if irregular times are their reason."""
    if config.gaps == "join":
        return ""
    steps = pd.concat([rows.index.to_series().diff().dropna() for rows in groups.values()])
    if steps.nunique() < 2:
        return ""
    usual = steps.mode().iloc[0]
    share = (steps == usual).mean()
    ways = ["`gaps: join` takes rows as if they followed each other"]
    if not config.step:
        ways.insert(0, "`step` with `missing: carry` fills times that have no row")
    return (
        f"; {share:.0%} of the rows follow the one before by {usual}, the others by another step:"
        f" {', '.join(ways)}"
    )
