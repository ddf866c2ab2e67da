"""Runs compared on the same probes: paired differences of EM, and efficiency against other runs.

The seeds of two runs are different trainings, so each run's are resampled by themselves. Skeletons
and dialogues are resampled alike for both. The p values are those of sign flips over skeletons,
corrected for the number of tests by the method of Holm ("A simple sequentially rejective multiple
test procedure", Scandinavian Journal of Statistics 6(2), 1979).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..vocabulary import DISTRACTOR_LEVEL, HEADLINE_SPLIT, MEMORY_EFFICIENCY, SAME_TEXT
from . import schemas
from .config import ScoringConfig
from .groups import clustered
from .intervals import Cells, percentile, quotient, sign_flip

MEMORY, CONTEXT = MEMORY_EFFICIENCY


@dataclass(frozen=True)
class Measure:
    """What is compared: EM under a condition, on some levels; of a sweep, at its last setting."""

    condition: str
    levels: tuple[str, ...]
    sweep: bool = False

    def of(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of one run that the measure is the mean `em` of."""
        rows = rows[(rows["condition"] == self.condition) & rows["level"].isin(self.levels)]
        return rows[rows["setting"] == rows["setting"].max()] if self.sweep else rows


DIFFERENCES = (
    Measure("A", SAME_TEXT),
    Measure("B", SAME_TEXT),
    Measure("D", (DISTRACTOR_LEVEL,)),
    Measure("retention", SAME_TEXT, sweep=True),
)
# Numerators of efficiency; the denominator is EM(A) of another run on the same levels.
NUMERATORS = (Measure(MEMORY, SAME_TEXT), Measure("D", (DISTRACTOR_LEVEL,)))


def comparisons(scored: pd.DataFrame, baseline: str, config: ScoringConfig) -> pd.DataFrame:
    """Every comparison of runs, in the columns of `schemas.COMPARISONS`.

    Each run is compared with the run `baseline`. The EM of each memory is divided by EM(A) of each
    run that was asked in context but not from its fast weights. All of it is on the split of the
    verdict, or on all probes if the benchmark has no such split.

    Args:
        scored: rows of `schemas.SCORED` of several runs on one benchmark.
        baseline: name of the run that the others are compared with.
        config: the resampling.
    """
    headline = scored["split"] == HEADLINE_SPLIT
    rows = clustered(scored[headline] if headline.any() else scored)
    runs = dict(list(rows.groupby("run", sort=False)))
    found = [*_differences(runs, baseline, config), *_efficiencies(runs, config)]
    table = pd.DataFrame(found, columns=schemas.COMPARISONS.names)
    return table.assign(p_corrected=holm(table["p"].to_numpy(np.float64)))


def _differences(
    runs: dict[str, pd.DataFrame], baseline: str, config: ScoringConfig
) -> Iterator[dict]:
    others = [run for run in runs if run != baseline] if baseline in runs else []
    for run in others:
        for measure in DIFFERENCES:
            pair = _cells(measure.of(runs[run]), measure.of(runs[baseline]))
            if pair is None:
                continue
            ours, theirs = pair
            draws = ours.draws(config) - theirs.draws(config, other_run=True)
            by_skeleton = (ours.by_skeleton().mean(0) - theirs.by_skeleton().mean(0))[:, 0]
            yield {
                **_label(schemas.DIFFERENCE, run, baseline, measure, measure.condition, pair),
                "value": (ours.means() - theirs.means())[0],
                **dict(zip(("low", "high"), percentile(draws)[:, 0], strict=True)),
                "p": sign_flip(by_skeleton, config.permutations, config.seed),
            }


def _efficiencies(runs: dict[str, pd.DataFrame], config: ScoringConfig) -> Iterator[dict]:
    asked = {run: set(rows["condition"]) for run, rows in runs.items()}
    memories = [run for run in runs if MEMORY in asked[run]]
    references = [run for run in runs if MEMORY not in asked[run] and CONTEXT in asked[run]]
    for run in memories:
        for other in references:
            for measure in NUMERATORS:
                context = Measure(CONTEXT, measure.levels).of(runs[other])
                pair = _cells(measure.of(runs[run]), context)
                if pair is None:
                    continue
                ours, theirs = pair
                draws = quotient(ours.draws(config), theirs.draws(config, other_run=True))
                yield {
                    **_label(schemas.EFFICIENCY, run, other, measure, CONTEXT, pair),
                    "value": quotient(ours.means(), theirs.means())[0],
                    **dict(zip(("low", "high"), percentile(draws)[:, 0], strict=True)),
                    "p": np.nan,
                }


def _cells(first: pd.DataFrame, second: pd.DataFrame) -> tuple[Cells, Cells] | None:
    """The probes that both answered, as cells of each; None if there is none."""
    key = ["sample_id", "probe_id"]
    both = first[key].drop_duplicates().merge(second[key].drop_duplicates(), on=key)
    if both.empty:
        return None
    return tuple(Cells.of(rows.merge(both, on=key), ["em"]) for rows in (first, second))


def _label(
    kind: str, run: str, other: str, measure: Measure, other_condition: str, pair: tuple
) -> dict:
    ours, theirs = pair
    return {
        "kind": kind,
        "run": run,
        "other": other,
        "condition": measure.condition,
        "other_condition": other_condition,
        "levels": " and ".join(measure.levels),
        "em": ours.means()[0],
        "other_em": theirs.means()[0],
        "n": ours.probes,
        "dialogues": ours.dialogues,
        "skeletons": ours.skeletons,
        "seeds": len(ours.seeds),
        "other_seeds": len(theirs.seeds),
    }


def holm(p_values: np.ndarray) -> np.ndarray:
    """P values corrected for their number; NaN entries are no tests and stay NaN."""
    corrected = np.full(len(p_values), np.nan)
    order = np.argsort(p_values)  # NaN last
    tests = np.isfinite(p_values).sum()
    largest = 0.0
    for rank, place in enumerate(order[:tests]):
        largest = max(largest, min(1.0, (tests - rank) * p_values[place]))
        corrected[place] = largest
    return corrected
