"""The long table of metrics: one row per run, condition, group, seed and metric.

A value is the mean over probes for each training seed, then the mean over seeds. Intervals are
those of `intervals`. A ratio divides two such means. Both are taken on the probes that both
conditions answered, and each draw resamples both sides alike. Rows that compare conditions have
the condition "all". The memory efficiency, and the `em_compared` of its two sides, uses levels 1
and 2 only. There A and B were given the same text. On level 3 only A was given the distractor too.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ..vocabulary import MEMORY_EFFICIENCY, PAIRS, RETENTION_RATIO, SWEEPS
from . import schemas
from .config import ScoringConfig
from .guessing_floor import guesses
from .intervals import Cells, percentile, quotient, sign_flip
from .probe_scores import METRICS

ALL = "all"
WHOLE = {"condition": ALL, "setting": np.nan}
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
    ("level", "position"),
    ("split", "grounding"),
    ("language", "split"),
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
    ("split", "grounding"),
    ("language", "split"),
    ("level", "split", "grounding"),
]
FLOOR_BREAKDOWNS: list[Group] = [*COARSE, ("kind",)]

SAME_TEXT = (1, 2)  # levels on which A and B were given the same text
DIMENSIONS = [
    *("level", "category", "position", "probe_order", "language"),
    *("split", "grounding", "order", "kind", "composition"),
]


def metrics_table(scored: pd.DataFrame, config: ScoringConfig) -> pd.DataFrame:
    """All metrics of `scored`, the rows of `score`, in the columns of `schemas.METRICS`."""
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
    """All breakdowns of one run, condition and setting."""
    label = {"condition": part["condition"].iloc[0], "setting": part["setting"].iloc[0]}
    sweep = label["condition"] in SWEEPS
    for columns in SWEEP_BREAKDOWNS if sweep else BREAKDOWNS:
        for group, rows in _groups(part, columns):
            for seed, cells in _by_seed(Cells.of(rows, METRICS), columns in COARSE):
                numbers = zip(METRICS, cells.means(), *percentile(cells.draws(config)), strict=True)
                for found in numbers:
                    yield _row(label | group, seed, cells, *found)


def _across(of_run: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """What compares conditions or settings of a run: floors, ratios and paired tests."""
    conditions = dict(list(of_run[~of_run["condition"].isin(SWEEPS)].groupby("condition")))
    yield from _floors(of_run)
    if conditions.keys() >= set(MEMORY_EFFICIENCY):
        both = _paired(*(conditions[name] for name in MEMORY_EFFICIENCY))
        both = both[both["level"].astype(int).isin(SAME_TEXT)]
        if len(both):
            yield from _ratio("memory_efficiency", both, config, WHOLE)
            yield from _compared(both, config)
    if conditions.keys() >= set(RETENTION_RATIO):
        both = _paired(*(conditions[name] for name in RETENTION_RATIO))
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
    """The guessing floor of each group; the guesser knows the whole benchmark of the run."""
    probes = of_run.drop_duplicates(["sample_id", "probe_id"])
    chances = guesses(probes)
    probes = probes.assign(**chances)
    for columns in FLOOR_BREAKDOWNS:
        for group, rows in _groups(probes, columns):
            cells = Cells.of(rows, list(chances))
            for metric, value in zip(chances, cells.means(), strict=True):
                yield _row(WHOLE | group, ALL, cells, metric, value)


def _paired(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The probes that both answered with the same seed; x and y are the `em` of each."""
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
    """`em` of the two sides of the memory efficiency, on the probes that both answered."""
    for columns in COARSE:
        for group, rows in _groups(both, columns):
            for seed, cells in _by_seed(Cells.of(rows, ["x", "y"]), True):
                sides = zip(
                    MEMORY_EFFICIENCY,
                    cells.means(),
                    *percentile(cells.draws(config)),
                    strict=True,
                )
                for condition, *numbers in sides:
                    label = {"condition": condition, "setting": np.nan} | group
                    yield _row(label, seed, cells, "em_compared", *numbers)


def _difference(pair: str, both: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """The difference of `em` with its interval, and the p value of the paired test."""
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
    """Each length of distractor compared with none, on the same probes."""
    start = sweep[sweep["setting"] == 0]
    for setting, part in sweep.groupby("setting"):
        both = _paired(part, start)
        if setting > 0 and len(both):
            label = {"condition": "retention", "setting": setting}
            yield from _ratio("retention_ratio", both, config, label)


def _capacity(memory: pd.DataFrame, context: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """Several dialogues in one state, compared with all of them in context.

    The dialogue written last is compared with the one written first as well.
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
    """`em` of the dialogues written last minus that of the dialogues written first.

    Both are in one set of cells, so that a draw takes a dialogue whole, wherever it was written.
    """
    last = ends["order"].astype(int) == ends["order"].astype(int).max()
    ends = ends.assign(
        last=last, first=~last, last_em=ends["em"] * last, first_em=ends["em"] * ~last
    )
    cells = Cells.of(ends, ["last_em", "last", "first_em", "first"])
    # The same steps for the means and for the draws: the rate at each end, then the difference.
    value, drawn = (
        quotient(given[0], given[1]) - quotient(given[2], given[3])
        for given in (cells.means()[:, None], cells.draws(config).T)
    )
    interval = percentile(drawn[:, None])[:, 0]
    return _row(label, ALL, cells, "em_difference:last-first", value[0], *interval)


def _groups(rows: pd.DataFrame, columns: Group) -> Iterator[tuple[dict, pd.DataFrame]]:
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


def _by_seed(cells: Cells, one_by_one: bool) -> Iterator[tuple[str, Cells]]:
    """The cells of all seeds together and, if `one_by_one`, those of each seed."""
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
