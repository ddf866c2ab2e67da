"""Read predictions in either layout: Parquet (`schemas.PREDICTIONS`) or the published JSON.

The published layout is a list of {"sample_id", "predictions": [{"probe_id", "predicted",
and optionally "question" and "gold"}]}, one file per condition. It holds all that the model
wrote up to a length limit and does not say where the answer ends. So the strict metric takes the
first line that is not blank as the answer. All other metrics take the whole text, as published.
In Parquet the prediction is the answer.
"""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from .. import io
from ..benchmark import json_files
from ..errors import UserError
from . import schemas

KEY = ["run", "seed", "condition", "setting", "distance", "order", "sample_id", "probe_id"]
COSTS = [name for name, _ in schemas.COSTS]
COLUMNS = [*KEY, "prediction", "too_long", "answer", "gold", "file", *COSTS]

_NAMED = re.compile(r"(\w+)=(.+)", re.DOTALL)


def read_predictions(sources: list[str], run: str | None = None) -> pd.DataFrame:
    """All predictions of `sources`, each "FILE" (Parquet) or "CONDITION=FILE" (either layout).

    A condition that is given replaces the one in the file. A `run` that is given replaces the
    file's own; without it, predictions in the JSON layout belong to the run "imported".

    Returns:
        `COLUMNS`, one row per probe asked. `gold` and `file` are for the checks against the
        benchmark and their messages.

    Raises:
        UserError: a file is missing or unreadable, a field is missing or of another type
            (the entry is named), or a JSON file comes without a condition.
    """
    frames = []
    for source in sources:
        named = _NAMED.fullmatch(source)
        condition, path = named.groups() if named else (None, source)
        read = _read_published if Path(path).suffix == ".json" else _read_parquet
        frames.append(read(Path(path), condition, run))
    return pd.concat(frames, ignore_index=True)


def _read_parquet(path: Path, condition: str | None, run: str | None) -> pd.DataFrame:
    rows = io.read_table(path, schemas.PREDICTIONS)
    for column in ("run", "seed", "condition", "sample_id", "probe_id", "prediction"):
        empty = rows.index[rows[column].isna()]
        if len(empty):
            raise UserError(f"{path}: row {empty[0]}: {column} is missing")
    rows["condition"] = condition or rows["condition"]
    rows["run"] = run or rows["run"]
    rows["order"] = rows["order"].fillna(-1).astype(int)
    rows["distance"] = rows["distance"].fillna(0).astype(int)
    rows["too_long"] = rows["too_long"].fillna(0).astype(int)
    return rows.assign(answer=rows["prediction"], gold=None, file=str(path))[COLUMNS]


def _read_published(path: Path, condition: str | None, run: str | None) -> pd.DataFrame:
    if condition is None:
        raise UserError(f"{path}: the JSON layout names no condition; give it as A={path}")
    rows = []
    for place, entry in enumerate(_json_list(path)):
        sample_id = _field(entry, "sample_id", str, f"{path}: entry {place}")
        where = f"{path}: sample {sample_id}"
        for number, item in enumerate(_field(entry, "predictions", list, where)):
            probe_id = _field(item, "probe_id", str, f"{where}: prediction {number}")
            text = _field(item, "predicted", str, f"{where}: probe {probe_id}")
            rows.append((sample_id, probe_id, text, first_line(text), item.get("gold")))
    columns = ["sample_id", "probe_id", "prediction", "answer", "gold"]
    return pd.DataFrame(rows, columns=columns, dtype=object).assign(
        run=run or "imported",
        seed=0,
        condition=condition,
        setting=float("nan"),
        distance=0,
        order=-1,
        too_long=0,
        file=str(path),
        **dict.fromkeys(COSTS, float("nan")),
    )[COLUMNS]


def first_line(text: str) -> str:
    """The first line of `text` that is not blank, or an empty string."""
    return next((line for line in text.splitlines() if line.strip()), "")


def _json_list(path: Path) -> list[Any]:
    data = json_files.load(path)
    if not isinstance(data, list):
        raise UserError(f"{path}: expected a list of samples, found {type(data).__name__}")
    return data


def _field(entry: Any, key: str, kind: type, where: str) -> Any:
    """`entry[key]`, or an error that names the entry and the field."""
    if not isinstance(entry, dict):
        raise UserError(f"{where}: expected an object, found {type(entry).__name__}")
    if key not in entry:
        raise UserError(f"{where}: field {key!r} is missing")
    if not isinstance(entry[key], kind):
        found = type(entry[key]).__name__
        raise UserError(f"{where}: field {key!r} is {found}, expected {kind.__name__}")
    return entry[key]
