"""What compares conditions or settings of one run: floors, ratios, differences, paired tests.

A ratio divides two means. Both are taken on the probes that both conditions answered, and each draw
resamples both sides alike.

The memory efficiency, the `em_compared` of its two sides and, beside them, of the conditions that
were not told the dialogue, and the paired tests use levels 1 and 2 only: one fact or two, which A
and B were given as the same text. The memory efficiency of another level has rows of its own. Level
3 compares A, which has the distractor in its context too, with D, which wrote it.
"""

from collections.abc import Iterator

import pandas as pd

from ..vocabulary import (
    BEHIND_DISTRACTOR,
    DISTRACTOR_LEVEL,
    MEMORY_EFFICIENCY,
    PAIRS,
    REFUSING,
    RETENTION_RATIO,
    SAME_TEXT,
    SWEPT,
)
from .config import ScoringConfig
from .groups import (
    ALL,
    COARSE,
    FLOOR_BREAKDOWNS,
    OF_A_LEVEL,
    WHOLE,
    Group,
    by_seed,
    groups,
    row,
)
from .guessing_floor import guesses
from .intervals import Cells, percentile, quotient, sign_flip


def across(of_run: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """All rows of `schemas.METRICS`, without the run, that compare conditions or settings."""
    conditions = dict(list(of_run[~of_run["condition"].isin(SWEPT)].groupby("condition")))
    yield from _floors(of_run)
    if conditions.keys() >= set(MEMORY_EFFICIENCY):
        both = _paired(*(conditions[name] for name in MEMORY_EFFICIENCY))
        headline = both["level"].isin(SAME_TEXT)
        if headline.any():
            yield from _ratio("memory_efficiency", both[headline], config, WHOLE)
            yield from _compared(both[headline], config)
            for name in REFUSING:
                yield from _beside(name, conditions.get(name), both[headline], config)
        rest = both[~headline & (both["level"] != DISTRACTOR_LEVEL)]
        yield from _ratio("memory_efficiency", rest, config, WHOLE, OF_A_LEVEL)
    if conditions.keys() >= set(BEHIND_DISTRACTOR):
        both = _paired(*(conditions[name] for name in BEHIND_DISTRACTOR[::-1]))
        both = both[both["level"] == DISTRACTOR_LEVEL]
        yield from _ratio("memory_efficiency", both, config, WHOLE, OF_A_LEVEL)
    if conditions.keys() >= set(RETENTION_RATIO):
        both = _paired(*(conditions[name] for name in RETENTION_RATIO))
        yield from _ratio("retention_ratio", both, config, WHOLE)
    for first, second in PAIRS:
        if {first, second} <= conditions.keys():
            both = _paired(conditions[first], conditions[second])
            both = both[both["level"].isin(SAME_TEXT)]
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
        for group, rows in groups(probes, columns):
            cells = Cells.of(rows, list(chances))
            for metric, value in zip(chances, cells.means(), strict=True):
                yield row(WHOLE | group, ALL, cells, metric, value)


def _paired(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The probes that both answered with the same seed; x and y are the `em` of each."""
    key = ["seed", "sample_id", "probe_id"]
    other = second[[*key, "em"]].rename(columns={"em": "y"})
    return first.rename(columns={"em": "x"}).merge(other, on=key)


def _ratio(
    metric: str,
    both: pd.DataFrame,
    config: ScoringConfig,
    label: dict,
    breakdowns: list[Group] = COARSE,
) -> Iterator[dict]:
    if both.empty:
        return
    for columns in breakdowns:
        for group, rows in groups(both, columns):
            for seed, cells in by_seed(Cells.of(rows, ["x", "y"]), True):
                value = quotient(*cells.means()[:, None])
                interval = percentile(quotient(*cells.draws(config).T)[:, None])
                yield row(label | group, seed, cells, metric, value[0], *interval[:, 0])


def _compared(both: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """`em` of the two sides of the memory efficiency, on the probes that both answered."""
    for columns in COARSE:
        for group, rows in groups(both, columns):
            for seed, cells in by_seed(Cells.of(rows, ["x", "y"]), True):
                sides = zip(
                    MEMORY_EFFICIENCY,
                    cells.means(),
                    *percentile(cells.draws(config)),
                    strict=True,
                )
                for condition, *numbers in sides:
                    label = WHOLE | {"condition": condition} | group
                    yield row(label, seed, cells, "em_compared", *numbers)


def _beside(
    condition: str, asked: pd.DataFrame | None, both: pd.DataFrame, config: ScoringConfig
) -> Iterator[dict]:
    """`em` of a condition that was not told the dialogue, on the probes of `both`."""
    if asked is None:
        return
    asked = asked.merge(both[["seed", "sample_id", "probe_id"]])
    for columns in [(), ("split",)] if len(asked) else []:
        for group, rows in groups(asked, columns):
            cells = Cells.of(rows, ["em"])
            interval = percentile(cells.draws(config))[:, 0]
            label = WHOLE | {"condition": condition} | group
            yield row(label, ALL, cells, "em_compared", cells.means()[0], *interval)


def _difference(pair: str, both: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """The difference of `em` with its interval, and the p value of the paired test."""
    both = both.assign(difference=both["x"] - both["y"])
    for columns in COARSE:
        for group, rows in groups(both, columns):
            cells = Cells.of(rows, ["difference"])
            interval = percentile(cells.draws(config))[:, 0]
            value = cells.means()[0]
            yield row(WHOLE | group, ALL, cells, f"em_difference:{pair}", value, *interval)
            by_skeleton = cells.by_skeleton()[:, :, 0].sum(0)
            p_value = sign_flip(by_skeleton, config.permutations, config.seed)
            yield row(WHOLE | group, ALL, cells, f"p_value:{pair}", p_value)


def _retention(sweep: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """Each length of distractor compared with none, on the same probes."""
    start = sweep[sweep["setting"] == 0]
    for setting, part in sweep.groupby("setting"):
        both = _paired(part, start)
        if setting > 0 and len(both):
            label = WHOLE | {"condition": "retention", "setting": setting}
            yield from _ratio("retention_ratio", both, config, label)


def _capacity(memory: pd.DataFrame, context: pd.DataFrame, config: ScoringConfig) -> Iterator[dict]:
    """Several dialogues in one state, compared with all of them in context.

    The dialogue written last is compared with the one written first as well.
    """
    for setting, part in memory.groupby("setting"):
        label = WHOLE | {"condition": "capacity", "setting": setting}
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
    return row(label, ALL, cells, "em_difference:last-first", value[0], *interval)
