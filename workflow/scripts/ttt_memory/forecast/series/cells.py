"""Times and numbers of a table, from the cells as they are written."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import UserError
from .columns import shown
from .config import EPOCHS, TableDataset

OFFSET = r"(?:[Zz]|[+-]\d\d:?\d\d)\s*$"  # ends a time that says its difference from UTC
LONG = r"\s*-?\d{9,}(?:\.\d*)?\s*$"  # no date in ISO 8601 has so many digits


def numbers(path: Path, config: TableDataset, column: pd.Series) -> pd.Series:
    """A column as float64; NaN where the cell is empty.

    Raises:
        UserError: a cell is no finite number as `config` says that numbers are written.
    """
    if column.dtype.kind in "biuf":
        found = column.astype(float)
    else:
        text = column.where(column.isna(), column.astype(str).str.strip())
        found = pd.to_numeric(_plain(config, text), errors="coerce").astype(float)
    wrong = (found.isna() & column.notna()) | np.isinf(found)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        cell = column.iloc[row]
        raise UserError(
            f"{path}: column {column.name!r}, row {row + 1}: found {shown(cell)}, expected a"
            f" finite number{_meant(config, str(cell))}"
        )
    return found


def _plain(config: TableDataset, text: pd.Series) -> pd.Series:
    """Numbers as text with a point and without separators; empty text where they are neither."""
    if config.thousands:
        mark, point = re.escape(config.thousands), re.escape(config.decimal)
        grouped = rf"[+-]?(?:\d{{1,3}}(?:{mark}\d{{3}})+|\d*)(?:{point}\d*)?(?:[eE][+-]?\d+)?"
        text = text.mask(text.notna() & ~text.str.fullmatch(grouped).eq(True), "no number")
        text = text.str.replace(config.thousands, "", regex=False)
    if config.decimal != ".":
        text = text.mask(text.str.contains(".", regex=False).eq(True), "no number")
        text = text.str.replace(config.decimal, ".", regex=False)
    return text


def _meant(config: TableDataset, cell: str) -> str:
    """A key that would make `cell` a number, if one is likely."""
    if config.decimal == "." and re.fullmatch(r"\s*[+-]?\d+,\d+\s*", cell):
        return "; is the comma its `decimal` or its `thousands`?"
    if config.decimal == "," and re.fullmatch(r"\s*[+-]?\d+\.\d+\s*", cell):
        return " with the decimal ','; is the point its `thousands`?"
    if re.fullmatch(r"\s*[+-]?\d{1,3}(?:[.,' _]\d{3})+(?:[.,]\d+)?\s*", cell):
        return "; `thousands` says what stands between the thousands"
    return ""


def times(path: Path, config: TableDataset, column: pd.Series) -> pd.Series:
    """A column of one group as times in UTC.

    Raises:
        UserError: a cell is no time as `config` says that times are written, or its local time
            does not exist in `time_zone` or is not known to be one of two.
    """
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        found = column.dt.tz_convert("UTC")
    elif column.dtype.kind == "M":
        found = _localised(path, config, column, column)
    elif config.time_format in EPOCHS:
        counted = pd.to_numeric(column, errors="coerce")
        found = pd.to_datetime(counted, unit=config.time_format, utc=True, errors="coerce")
    else:
        found = _written(path, config, column, column.astype(str).where(column.notna()))
    if found.isna().any():
        row = int(np.flatnonzero(found.isna())[0])
        raise UserError(_no_time(path, config, column, row))
    return found


def _written(path: Path, config: TableDataset, column: pd.Series, text: pd.Series) -> pd.Series:
    """Times that are text; NaT where they are not as expected."""
    kind = config.time_format or "ISO8601"
    if config.time_format is None:
        # A long number would be taken for a date of some other century.
        text = text.mask(text.str.match(LONG).eq(True))
    offset = "%z" in kind or (config.time_format is None and text.str.contains(OFFSET).eq(True))
    if config.time_zone is None or np.all(offset):
        return pd.to_datetime(text, utc=True, errors="coerce", format=kind)
    local = pd.to_datetime(text.mask(offset), errors="coerce", format=kind)
    return _localised(path, config, local, column)


def _localised(path: Path, config: TableDataset, local: pd.Series, column: pd.Series) -> pd.Series:
    """Times without an offset, of `time_zone`, in UTC."""
    zone, known = config.time_zone or "UTC", local.notna()
    try:
        # Of two rows with one local time the first is before the clocks were set back.
        located = local[known].dt.tz_localize(zone, ambiguous="infer", nonexistent="raise")
    except ValueError as error:
        raise UserError(
            f"{path}: column {column.name!r}: {_clock_problem(local[known], zone)}"
        ) from error
    return located.dt.tz_convert("UTC").reindex(local.index)


def _clock_problem(local: pd.Series, zone: str) -> str:
    """Which time is none, or one of two, because clocks were set in `zone`."""
    settled = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward")
    skipped = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").isna()
    skipped &= settled.notna()
    if skipped.any():
        return (
            f"time {local[skipped].iloc[0]} does not exist in {zone}, where clocks are set forward"
            " then; expected local times of `time_zone`, or times with their offset"
        )
    return (
        f"time {local[settled.isna()].iloc[0]} occurs twice in {zone}, where clocks are set back"
        " then, and the rows do not tell which of both it is; expected the repeated hour twice and"
        " in order, or times with their offset"
    )


def _no_time(path: Path, config: TableDataset, column: pd.Series, row: int) -> str:
    cell = column.iloc[row]
    wanted = "a time like 2013-01-01 06:00"
    if config.time_format in EPOCHS:
        wanted = f"a number that counts from 1970 in the `time_format` {config.time_format!r}"
    elif config.time_format:
        wanted = f"a time of the `time_format` {config.time_format!r}"
    elif config.time_zone and re.search(OFFSET, str(cell)):
        wanted = "a time without an offset, as in other rows"
    elif re.match(LONG, str(cell)):
        wanted += ", or `time_format: s`, `ms`, `us` or `ns` for numbers that count from 1970"
    elif not pd.isna(cell):
        wanted += ", or the `time_format` that times are written in"
    found = "an empty cell" if pd.isna(cell) else shown(cell)
    return (
        f"{path}: column {column.name!r}, row {column.index[row] + 1}: found {found}, expected"
        f" {wanted}"
    )
