"""The long table of metrics: one row per run, condition, group, seed and metric.

Values are means over training seeds of the mean over probes, intervals as in `intervals`.
Ratios divide the two means over seeds; both sides are taken on the probes that both
conditions answered, and a draw resamples both alike. Cross-condition rows have condition
"all".
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .. import schemas
from .config import ScoringConfig
from .floor import guesses
from .intervals import Cells, percentile, quotient, sign_flip
from .scored import METRICS, SWEEPS

ALL = "all"
Group = tuple[str, ...]  # the columns a breakdown is by

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
    ("level", "position"),
    ("split", "grounding"),
    ("language", "split"),
    ("level", "split", "grounding"),
]
SWEEP_BREAKDOWNS: list[Group] = [(), ("order",), ("language",), ("split",), ("grounding",)]
# Coarser: seeds one by one, cross-condition metrics and guessing floors.
COARSE: list[Group] = [
    (),
    ("level",),
    ("language",),
    ("split",),
    ("grounding",),
    ("composition",),
    ("level", "split"),
    ("split", "grounding"),
    ("language", "split"),
    ("level", "split", "grounding"),
]
FLOOR_BREAKDOWNS: list[Group] = [*COARSE, ("kind",)]

RATIOS = {"memory_efficiency": ("B", "A"), "retention_ratio": ("D", "B")}
PAIRS = [("B", "C"), ("B", "W"), ("B", "N"), ("A", "B")]
DIMENSIONS = [
    *("level", "category", "position", "probe_order", "language"),
    *("split", "grounding", "order", "kind", "composition"),
]


@dataclass(frozen=True)
class Statistic:
    """One number of a group with its 95% interval (NaN where it has none)."""

    metric: str
    value: float
    low: float = float("nan")
    high: float = float("nan")


def metrics_table(scored: pd.DataFrame, config: ScoringConfig) -> pd.DataFrame:
    """All metrics of the per-probe rows of `score`, in the columns of `schemas.METRICS`."""
    scored = scored.assign(
        order=scored["order"].map(lambda order: str(order) if order >= 0 else None)
    )
    rows: list[dict] = []
    for run, of_run in scored.groupby("run", sort=False):
        for _, part in of_run.groupby(["condition", "setting"], dropna=False, sort=False):
            rows += [{"run": run} | row for row in _condition(part, config)]
        rows += [{"run": run} | row for row in _across(of_run, config)]
    table = pd.DataFrame(rows)
    for column in DIMENSIONS:
        table[column] = table[column].fillna(ALL) if column in table else ALL
    return table[schemas.METRICS.names]


def _condition(part: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """Every breakdown of one run under one condition and setting."""
    label = {"condition": part["condition"].iloc[0], "setting": part["setting"].iloc[0]}
    sweep = label["condition"] in SWEEPS
    for columns in SWEEP_BREAKDOWNS if sweep else BREAKDOWNS:
        for seed, group, rows in _groups(part, columns, one_by_one=columns in COARSE):
            cells = Cells.of(rows, METRICS)
            draws = cells.draws(config)
            for place, metric in enumerate(METRICS):
                found = Statistic(metric, cells.means()[place], *percentile(draws[:, place]))
                yield _row(label | group, seed, rows, found)


def _across(of_run: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """Floors, ratios, paired tests and what compares the settings of a sweep."""
    conditions = {
        condition: part
        for condition, part in of_run.groupby("condition")
        if condition not in SWEEPS
    }
    yield from _floors(of_run)
    for metric, (upper, lower) in RATIOS.items():
        if {upper, lower} <= conditions.keys():
            both = _paired(conditions[upper], conditions[lower])
            yield from _ratio(metric, both, config, {"condition": ALL, "setting": np.nan})
    for first, second in PAIRS:
        if {first, second} <= conditions.keys():
            both = _paired(conditions[first], conditions[second])
            yield from _difference(f"{first}-{second}", both, config)
    yield from _retention(of_run[of_run["condition"] == "retention"], config)
    yield from _capacity(of_run[of_run["condition"] == "capacity"], config)


def _floors(of_run: pd.DataFrame) -> Iterator[dict]:
    """Guessing floors of all questions the run was asked."""
    probes = of_run.drop_duplicates(["sample_id", "probe_id"])
    for columns in FLOOR_BREAKDOWNS:
        for seed, group, rows in _groups(probes, columns, one_by_one=False):
            chances = guesses(rows)
            for metric in chances:
                found = Statistic(metric, chances[metric].mean())
                yield _row({"condition": ALL, "setting": np.nan} | group, seed, rows, found)


def _paired(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The probes that both answered with the same seed: `em` of each as columns x and y."""
    key = ["seed", "sample_id", "probe_id"]
    other = second[[*key, "em"]].rename(columns={"em": "y"})
    return first.rename(columns={"em": "x"}).merge(other, on=key)


def _ratio(metric: str, both: pd.DataFrame, config: ScoringConfig, label: dict) -> Iterator[dict]:
    for columns in COARSE:
        for seed, group, rows in _groups(both, columns, one_by_one=True):
            cells = Cells.of(rows, ["x", "y"])
            x, y = cells.means()
            draws = cells.draws(config)
            found = Statistic(
                metric,
                float(quotient(np.array(x), np.array(y))),
                *percentile(quotient(draws[:, 0], draws[:, 1])),
            )
            yield _row(label | group, seed, rows, found)


def _difference(pair: str, both: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """Difference of `em` with its interval, and the p value of the paired test."""
    both = both.assign(difference=both["x"] - both["y"])
    label = {"condition": ALL, "setting": np.nan}
    for columns in COARSE:
        for seed, group, rows in _groups(both, columns, one_by_one=False):
            cells = Cells.of(rows, ["difference"])
            draws = cells.draws(config)[:, 0]
            found = Statistic(f"em_difference:{pair}", cells.means()[0], *percentile(draws))
            yield _row(label | group, seed, rows, found)
            by_dialogue = cells.totals[:, :, 0].sum(0)
            p_value = sign_flip(by_dialogue, config.permutations, config.seed)
            yield _row(label | group, seed, rows, Statistic(f"p_value:{pair}", p_value))


def _retention(sweep: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """Each distractor length against none, on the same probes."""
    start = sweep[sweep["setting"] == 0]
    for setting, part in sweep.groupby("setting"):
        both = _paired(part, start)
        if setting > 0 and len(both):
            label = {"condition": "retention", "setting": setting}
            yield from _ratio("retention_ratio", both, config, label)


def _capacity(sweep: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """How much better the last dialogue written into a state is remembered than the first."""
    for setting, part in sweep.groupby("setting"):
        orders = part["order"].astype(int)
        if orders.nunique() < 2:
            continue
        # One set of cells for both ends: a dialogue in both, or in one, is drawn as a whole.
        last, first = (orders == place for place in (orders.max(), orders.min()))
        ends = part.assign(
            last=last, first=first, last_em=part["em"] * last, first_em=part["em"] * first
        )
        cells = Cells.of(ends, ["last_em", "last", "first_em", "first"])
        drawn = cells.draws(config)
        difference = quotient(drawn[:, 0], drawn[:, 1]) - quotient(drawn[:, 2], drawn[:, 3])
        last_em, last_share, first_em, first_share = cells.means()
        found = Statistic(
            "em_difference:last-first",
            last_em / last_share - first_em / first_share,
            *percentile(difference),
        )
        yield _row({"condition": "capacity", "setting": setting}, ALL, part, found)


def _groups(
    rows: pd.DataFrame, columns: Group, one_by_one: bool
) -> Iterator[tuple[str, dict, pd.DataFrame]]:
    """Each group of a breakdown, over all seeds and, `one_by_one`, for each seed apart.

    A probe stands once in the category of each fact it requires; rows whose value of a column
    is unknown are in no group.
    """
    if "category" in columns:
        rows = rows.explode("categories").rename(columns={"categories": "category"})
    parts = [((), rows)] if not columns else rows.groupby(list(columns))
    for values, part in parts:
        group = dict(zip(columns, values, strict=True))
        yield ALL, group, part
        if one_by_one:
            for seed, of_seed in part.groupby("seed"):
                yield str(seed), group, of_seed


def _row(group: dict, seed: str, rows: pd.DataFrame, found: Statistic) -> dict:
    seeds = rows["seed"].nunique()
    return group | {
        "seed": seed,
        "metric": found.metric,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "n": round(len(rows) / seeds),
        "dialogues": rows["sample_id"].nunique(),
        "seeds": seeds,
    }
