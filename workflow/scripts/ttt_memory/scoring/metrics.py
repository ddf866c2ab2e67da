"""The long table of metrics: one row per run, condition, group, seed and metric.

Values are means over training seeds of the mean over probes, intervals as in `intervals`.
Ratios divide the two means over seeds; both sides are taken on the probes that both
conditions answered, and a draw resamples both alike. Cross-condition rows have condition
"all". The memory efficiency, and the `em_compared` of its two sides, is of levels 1 and 2: there
A and B have read the same text, while on level 3 only A's context holds the distractor as well.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from . import schemas
from .config import ScoringConfig
from .floor import guesses
from .intervals import Cells, percentile, quotient, sign_flip
from .scored import METRICS, SWEEPS

ALL = "all"
WHOLE = {"condition": ALL, "setting": np.nan}
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

SAME_TEXT = (1, 2)  # levels on which A and B have read the same
PAIRS = [("B", "C"), ("B", "W"), ("B", "N"), ("A", "B")]
DIMENSIONS = [
    *("level", "category", "position", "probe_order", "language"),
    *("split", "grounding", "order", "kind", "composition"),
]


def metrics_table(scored: pd.DataFrame, config: ScoringConfig) -> pd.DataFrame:
    """All metrics of the per-probe rows of `score`, in the columns of `schemas.METRICS`."""
    placed = scored["order"] >= 0
    scored = scored.assign(
        order=scored["order"].astype(str).where(placed),
        dialogue=pd.factorize(scored["sample_id"])[0],
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
        for group, rows in _groups(part, columns):
            for seed, cells in _by_seed(Cells.of(rows, METRICS), columns in COARSE):
                numbers = zip(METRICS, cells.means(), *percentile(cells.draws(config)), strict=True)
                for found in numbers:
                    yield _row(label | group, seed, cells, *found)


def _across(of_run: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """Floors, ratios, paired tests and what compares the settings of a sweep."""
    conditions = dict(list(of_run[~of_run["condition"].isin(SWEEPS)].groupby("condition")))
    yield from _floors(of_run)
    if {"A", "B"} <= conditions.keys():
        both = _paired(conditions["B"], conditions["A"])
        both = both[both["level"].astype(int).isin(SAME_TEXT)]
        if len(both):
            yield from _ratio("memory_efficiency", both, config, WHOLE)
            yield from _compared(both, config)
    if {"B", "D"} <= conditions.keys():
        both = _paired(conditions["D"], conditions["B"])
        yield from _ratio("retention_ratio", both, config, WHOLE)
    for first, second in PAIRS:
        if {first, second} <= conditions.keys():
            both = _paired(conditions[first], conditions[second])
            yield from _difference(f"{first}-{second}", both, config)
    yield from _retention(of_run[of_run["condition"] == "retention"], config)
    memory, context = (
        of_run[of_run["condition"] == name] for name in ("capacity", "capacity_context")
    )
    yield from _capacity(memory, context, config)


def _floors(of_run: pd.DataFrame) -> Iterator[dict]:
    """What one guesser, who knows the run's whole benchmark, gets right of each group."""
    probes = of_run.drop_duplicates(["sample_id", "probe_id"])
    chances = guesses(probes)
    probes = probes.assign(**chances)
    for columns in FLOOR_BREAKDOWNS:
        for group, rows in _groups(probes, columns):
            cells = Cells.of(rows, list(chances))
            for metric, value in zip(chances, cells.means(), strict=True):
                yield _row(WHOLE | group, ALL, cells, metric, value)


def _paired(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The probes that both answered with the same seed: `em` of each as columns x and y."""
    key = ["seed", "sample_id", "probe_id"]
    other = second[[*key, "em"]].rename(columns={"em": "y"})
    return first.rename(columns={"em": "x"}).merge(other, on=key)


def _ratio(metric: str, both: pd.DataFrame, config: ScoringConfig, label: dict) -> Iterator[dict]:
    for columns in COARSE:
        for group, rows in _groups(both, columns):
            for seed, cells in _by_seed(Cells.of(rows, ["x", "y"]), True):
                value = quotient(*cells.means()[:, None])
                interval = percentile(quotient(*cells.draws(config).T)[:, None])
                yield _row(label | group, seed, cells, metric, value[0], *interval[:, 0])


def _compared(both: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """`em` of B (x) and of A (y) on the probes that the memory efficiency is of."""
    for columns in COARSE:
        for group, rows in _groups(both, columns):
            for seed, cells in _by_seed(Cells.of(rows, ["x", "y"]), True):
                found = zip("BA", cells.means(), *percentile(cells.draws(config)), strict=True)
                for condition, *numbers in found:
                    label = {"condition": condition, "setting": np.nan} | group
                    yield _row(label, seed, cells, "em_compared", *numbers)


def _difference(pair: str, both: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """Difference of `em` with its interval, and the p value of the paired test."""
    both = both.assign(difference=both["x"] - both["y"])
    for columns in COARSE:
        for group, rows in _groups(both, columns):
            cells = Cells.of(rows, ["difference"])
            interval = percentile(cells.draws(config))[:, 0]
            value = cells.means()[0]
            yield _row(WHOLE | group, ALL, cells, f"em_difference:{pair}", value, *interval)
            by_dialogue = cells.totals[:, :, 0].sum(0)
            p_value = sign_flip(by_dialogue, config.permutations, config.seed)
            yield _row(WHOLE | group, ALL, cells, f"p_value:{pair}", p_value)


def _retention(sweep: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """Each distractor length against none, on the same probes."""
    start = sweep[sweep["setting"] == 0]
    for setting, part in sweep.groupby("setting"):
        both = _paired(part, start)
        if setting > 0 and len(both):
            label = {"condition": "retention", "setting": setting}
            yield from _ratio("retention_ratio", both, config, label)


def _capacity(memory: pd.DataFrame, context: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """Several dialogues in one state: against all of them in context, and the last against the
    first one written.
    """
    for setting, part in memory.groupby("setting"):
        label = {"condition": "capacity", "setting": setting}
        both = _paired(part, context[context["setting"] == setting])
        if len(both):
            yield from _ratio("memory_efficiency", both, config, label)
        orders = part["order"].astype(int)
        ends = part[orders.isin([orders.min(), orders.max()])]
        if ends["order"].nunique() == 2:
            yield _last_against_first(ends, config, label)


def _last_against_first(ends: pd.DataFrame, config: ScoringConfig, label: dict) -> dict:
    """One set of cells for both ends, so that a dialogue is drawn as a whole wherever it is."""
    last = ends["order"].astype(int) == ends["order"].astype(int).max()
    ends = ends.assign(
        last=last, first=~last, last_em=ends["em"] * last, first_em=ends["em"] * ~last
    )
    cells = Cells.of(ends, ["last_em", "last", "first_em", "first"])
    # [statistics] and [statistics, draws] alike: the rate at each end, then the difference.
    value, drawn = (
        quotient(given[0], given[1]) - quotient(given[2], given[3])
        for given in (cells.means()[:, None], cells.draws(config).T)
    )
    interval = percentile(drawn[:, None])[:, 0]
    return _row(label, ALL, cells, "em_difference:last-first", value[0], *interval)


def _groups(rows: pd.DataFrame, columns: Group) -> Iterator[tuple[dict, pd.DataFrame]]:
    """Each group of a breakdown, the columns' values and the rows.

    A probe stands once in the category of each fact it requires; rows whose value of a column
    is unknown are in no group.
    """
    if not columns:
        yield {}, rows
        return
    if "category" in columns:
        rows = rows.explode("categories").rename(columns={"categories": "category"})
    for values, part in rows.groupby(list(columns)):
        yield dict(zip(columns, values, strict=True)), part


def _by_seed(cells: Cells, one_by_one: bool) -> Iterator[tuple[str, Cells]]:
    """The cells over all seeds and, `one_by_one`, those of each seed."""
    yield ALL, cells
    if one_by_one:
        for part in cells.each_seed():
            yield str(part.seeds[0]), part


def _row(
    group: dict,
    seed: str,
    cells: Cells,
    metric: str,
    value: float,
    low: float = np.nan,
    high: float = np.nan,
) -> dict:
    return group | {
        "seed": seed,
        "metric": metric,
        "value": value,
        "low": low,
        "high": high,
        "n": cells.probes,
        "dialogues": cells.dialogues,
        "seeds": len(cells.seeds),
    }
