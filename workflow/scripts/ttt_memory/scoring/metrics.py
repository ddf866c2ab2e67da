"""The long table of metrics: one row per run, condition, group, seed and metric.

A value is the mean over probes for each training seed, then the mean over seeds. Intervals are
those of `intervals`. Rows that compare conditions (see `ratios`) have the condition "all".
"""

from collections.abc import Iterator

import pandas as pd

from ..benchmark.sample import UNANSWERABLE
from ..vocabulary import OUTCOMES, SWEPT
from . import schemas
from .config import ScoringConfig
from .groups import (
    ALL,
    BREAKDOWNS,
    COARSE,
    DIMENSIONS,
    OF_A_LEVEL,
    SWEEP_BREAKDOWNS,
    Group,
    by_seed,
    clustered,
    groups,
    row,
)
from .intervals import Cells, percentile
from .predictions import COSTS
from .probe_scores import METRICS
from .ratios import across

TOO_LONG = "too_long"  # a metric and a column of predictions
SETTINGS = ["condition", "setting", "distance"]


def metrics_table(scored: pd.DataFrame, config: ScoringConfig) -> pd.DataFrame:
    """All metrics of `scored`, the rows of `score`, in the columns of `schemas.METRICS`."""
    scored = clustered(scored)
    rows: list[dict] = []
    for run, of_run in scored.groupby("run", sort=False):
        for _, part in of_run.groupby(SETTINGS, dropna=False, sort=False):
            rows += [{"run": run} | found for found in _condition(part, config)]
        rows += [{"run": run} | found for found in across(of_run, config)]
    table = pd.DataFrame(rows)
    for column in DIMENSIONS:
        table[column] = table[column].fillna(ALL) if column in table else ALL
    return table[schemas.METRICS.names]


def unasked(given: pd.DataFrame) -> pd.DataFrame:
    """A row of the metric `too_long` for each setting at which nothing was asked.

    `given` holds such rows of `read_predictions`. The value is the tokens of the longest text.
    """
    rows = [
        {"run": run, "condition": condition, "setting": setting, "distance": distance}
        | dict.fromkeys(["seed", *DIMENSIONS], ALL)
        | {"metric": TOO_LONG, "value": float(part["too_long"].max())}
        | {"n": len(part) // part["seed"].nunique(), "seeds": part["seed"].nunique()}
        | {"dialogues": part["sample_id"].nunique(), "skeletons": 0}
        for (run, condition, setting, distance), part in given.groupby(
            ["run", *SETTINGS], dropna=False, sort=False
        )
    ]
    return pd.DataFrame(rows, columns=schemas.METRICS.names)


def _condition(part: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """All rows of one run, condition and setting."""
    sweep = part["condition"].iloc[0] in SWEPT
    cells = Cells.of(part, METRICS)
    for name in COSTS:
        yield row(_label(part), ALL, cells, name, part[name].mean())
    breakdowns = SWEEP_BREAKDOWNS if sweep else BREAKDOWNS
    yield from _means(part, METRICS, breakdowns, config)
    # A public benchmark may accept further words of refusal as right.
    refused = part[["refused", "em"]].max(axis=1)
    part = part.assign(false_answers=1 - refused, false_refusals=part["refused"])
    unanswerable = part["kind"] == UNANSWERABLE
    coarse = [columns for columns in breakdowns if columns in COARSE]
    yield from _means(part[unanswerable], ["false_answers"], coarse, config)
    yield from _means(part[~unanswerable], ["false_refusals"], coarse, config)
    if not sweep:
        for level, names in OUTCOMES.items():
            right, rival = part["em"], part["says_rival"]
            outcomes = dict(zip(names, (right, rival, 1 - right - rival), strict=True))
            asked = (part["level"] == level) & part["rival"].notna()
            part_of_level = part.assign(**outcomes)[asked]
            yield from _means(part_of_level, list(names), OF_A_LEVEL, config)


def _label(part: pd.DataFrame) -> dict:
    return {name: part[name].iloc[0] for name in SETTINGS}


def _means(
    part: pd.DataFrame, metrics: list[str], breakdowns: list[Group], config: ScoringConfig
) -> Iterator[dict]:
    """Means of the columns `metrics` in each group of each breakdown, with their intervals."""
    if part.empty:
        return
    label = _label(part)
    for columns in breakdowns:
        for group, rows in groups(part, columns):
            for seed, cells in by_seed(Cells.of(rows, metrics), columns in COARSE):
                numbers = zip(metrics, cells.means(), *percentile(cells.draws(config)), strict=True)
                for found in numbers:
                    yield row(label | group, seed, cells, *found)
