"""The groups of probes that metrics are broken down by, and the row of one group."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from .intervals import Cells

ALL = "all"
WHOLE = {"condition": ALL, "setting": np.nan, "distance": 0}
Group = tuple[str, ...]  # the columns that a breakdown is by

BREAKDOWNS: list[Group] = [
    (),
    ("level",),
    ("category",),
    ("position",),
    ("probe_order",),
    ("language",),
    ("split",),
    ("grounding",),
    ("kind",),
    ("composition",),
    ("level", "category"),
    ("level", "split"),
    ("level", "variant"),
    ("level", "position"),
    ("split", "grounding"),
    ("language", "split"),
    ("level", "split", "variant"),
    ("level", "split", "grounding"),
]
SWEEP_BREAKDOWNS: list[Group] = [(), ("order",), ("language",), ("split",), ("grounding",)]
# Fewer: for single seeds, for what compares conditions, and for guessing floors.
COARSE: list[Group] = [
    (),
    ("level",),
    ("language",),
    ("split",),
    ("grounding",),
    ("composition",),
    ("level", "split"),
    ("level", "variant"),
    ("split", "grounding"),
    ("language", "split"),
    ("level", "split", "variant"),
    ("level", "split", "grounding"),
]
FLOOR_BREAKDOWNS: list[Group] = [*COARSE, ("kind",)]
# What is asked on one level alone.
OF_A_LEVEL: list[Group] = [
    ("level",),
    ("level", "split"),
    ("level", "variant"),
    ("level", "split", "variant"),
]

DIMENSIONS = [
    *("level", "category", "position", "probe_order", "language"),
    *("split", "variant", "grounding", "order", "kind", "composition"),
]


def clustered(scored: pd.DataFrame) -> pd.DataFrame:
    """The rows of `probe_scores.score`, ready to be grouped and made into `Cells`.

    `dialogue` and `skeleton` become numbers. `order` becomes a word, missing where it says nothing.
    """
    placed = scored["order"] >= 0
    scored = scored.assign(
        order=scored["order"].astype(str).where(placed),
        dialogue=pd.factorize(scored["sample_id"])[0],
        skeleton=pd.factorize(scored["skeleton"])[0],
    )
    # Thousands of small groups are taken out of it: plain strings make that faster.
    return scored.astype(dict.fromkeys(scored.select_dtypes("string"), object))


def groups(rows: pd.DataFrame, columns: Group) -> Iterator[tuple[dict, pd.DataFrame]]:
    """The groups of a breakdown: the values of its columns, and the rows.

    A probe is counted once for each fact it requires, in the category of that fact. A row whose
    value of a column is unknown is in no group.
    """
    if not columns:
        yield {}, rows
        return
    if "category" in columns:
        rows = rows.explode("categories").rename(columns={"categories": "category"})
    for values, part in rows.groupby(list(columns)):
        yield dict(zip(columns, values, strict=True)), part


def by_seed(cells: Cells, one_by_one: bool) -> Iterator[tuple[str, Cells]]:
    """The cells of all seeds together and, if `one_by_one`, those of each seed."""
    yield ALL, cells
    if one_by_one:
        for part in cells.each_seed():
            yield str(part.seeds[0]), part


def row(
    group: dict,
    seed: str,
    cells: Cells,
    metric: str,
    value: float,
    low: float = np.nan,
    high: float = np.nan,
) -> dict:
    """A row of `schemas.METRICS`, without the run and the columns that it is not divided by."""
    return group | {
        "seed": seed,
        "metric": metric,
        "value": value,
        "low": low,
        "high": high,
        "n": cells.probes,
        "dialogues": cells.dialogues,
        "skeletons": cells.skeletons,
        "seeds": len(cells.seeds),
    }
