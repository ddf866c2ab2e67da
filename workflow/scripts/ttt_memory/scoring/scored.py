"""Each prediction beside its probe: checked for completeness, scored, with its attributes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..benchmark import Sample
from ..errors import UserError
from . import normalise
from .predictions import KEY

METRICS = ["em", "em_contains", "f1_char", "degenerate"]
THIRDS = ("front", "middle", "back")
PROBE_ORDER_LEVELS = (1, 3)  # where probes follow the order of the facts, as published

COMPLETE = ("A", "B", "C", "W", "N")  # conditions that answer every probe of the benchmark
AFTER_DISTRACTOR = "D"  # answers every probe of the samples that have a distractor
# Each row has a setting. They choose their samples, and ask all probes of a sample or, with
# several dialogues in one state, those that only one of the dialogues answers.
SWEEPS = ("scale", "retention", "capacity", "capacity_context")
WHOLE_SAMPLES = ("scale", "retention")


def score(samples: Sequence[Sample], predictions: pd.DataFrame) -> pd.DataFrame:
    """The rows of `read_predictions` with their probe's `attributes` and the `METRICS` (0/1, f1).

    Raises:
        UserError: predictions for an unknown sample or probe, two for one probe, none for a
            probe that the condition must answer, an unknown condition, or a gold answer that
            is not the benchmark's.
    """
    probes = attributes(samples)
    rows = predictions.merge(
        probes, on=["sample_id", "probe_id"], how="left", suffixes=("_given", ""), indicator=True
    )
    _check_known(rows, set(probes["sample_id"]))
    _check_conditions(rows)
    _check_unique(rows)
    _check_gold(rows)
    for key, part in rows.groupby(KEY[:5], dropna=False, sort=False):
        _check_complete(part, probes, key)
    for name, metric in zip(
        METRICS,
        (normalise.exact, normalise.contains, normalise.f1_char, normalise.degenerate),
        strict=True,
    ):
        columns = ["answer" if name == "em" else "prediction"]
        columns += ["gold"] if name != "degenerate" else []
        rows[name] = [float(metric(*row)) for row in rows[columns].itertuples(index=False)]
    return rows.drop(columns=["_merge", "gold_given", "file"])


def attributes(samples: Sequence[Sample]) -> pd.DataFrame:
    """What the metrics are broken down by, one row per probe of the benchmark.

    `categories` holds the category of each required fact, repeated when two facts share it;
    `position` is None where the value's place in the dialogue is unknown.
    """
    rows = []
    for sample in samples:
        facts = {fact.fact_id: fact for fact in sample.facts}
        for place, probe in enumerate(sample.probes):
            required = [facts[fact_id] for fact_id in probe.required_facts]
            start = required[0].start if required else -1
            rows.append(
                {
                    "sample_id": sample.sample_id,
                    "probe_id": probe.probe_id,
                    "level": str(sample.level),
                    "language": sample.language,
                    "split": sample.split,
                    "grounding": probe.grounding,
                    "kind": probe.kind,
                    "composition": composition(probe.kind, len(required)),
                    "categories": [fact.category for fact in required],
                    "position": third(start, len(sample.dialogue)) if start >= 0 else None,
                    "probe_order": third(place, len(sample.probes))
                    if sample.level in PROBE_ORDER_LEVELS
                    else None,
                    "distractor": sample.distractor is not None,
                    "gold": probe.gold,
                }
            )
    return pd.DataFrame(rows)


def third(place: int, length: int) -> str:
    """The third of `length` that `place` (from 0) falls into."""
    return THIRDS[min(3 * place // length, 2)]


def composition(kind: str, required: int) -> str:
    """How a probe's facts make its answer: "single", or at level 2 "bridge" or "pair"."""
    start = kind.split(":")[0]
    if start in ("bridge", "pair"):
        return start
    return "single" if required == 1 else "several"


def _check_known(rows: pd.DataFrame, samples: set[str]) -> None:
    unknown = rows[rows["_merge"] == "left_only"]
    if len(unknown):
        first = unknown.iloc[0]
        what = f"probe {first.probe_id} of sample {first.sample_id}"
        if first.sample_id not in samples:
            what = f"sample {first.sample_id}"
        raise UserError(
            f"{first.file}: {len(unknown)} predictions for unknown probes; first: the benchmark "
            f"has no {what}"
        )


def _check_conditions(rows: pd.DataFrame) -> None:
    known = (*COMPLETE, AFTER_DISTRACTOR, *SWEEPS)
    for row in rows[~rows["condition"].isin(known)].itertuples():
        raise UserError(f"{row.file}: condition {row.condition!r}, expected one of {known}")
    for row in rows[rows["condition"].isin(SWEEPS) & rows["setting"].isna()].itertuples():
        raise UserError(f"{row.file}: a row of condition {row.condition} has no setting")


def _check_unique(rows: pd.DataFrame) -> None:
    twice = rows[rows.duplicated(KEY)]
    if len(twice):
        first = twice.iloc[0]
        raise UserError(
            f"{first.file}: {len(twice)} duplicate predictions; first: run {first.run}, seed "
            f"{first.seed}, condition {first.condition}, sample {first.sample_id}, probe "
            f"{first.probe_id}"
        )


def _check_gold(rows: pd.DataFrame) -> None:
    other = rows[rows["gold_given"].notna() & (rows["gold_given"] != rows["gold"])]
    if len(other):
        first = other.iloc[0]
        raise UserError(
            f"{first.file}: sample {first.sample_id}, probe {first.probe_id}: gold is "
            f"{first.gold_given!r}, expected {first.gold!r} as in the benchmark"
        )


def _check_complete(part: pd.DataFrame, probes: pd.DataFrame, key: tuple) -> None:
    """Every probe that the condition must answer is there, given the samples it has begun."""
    condition = key[2]
    begun = probes["sample_id"].isin(part["sample_id"])
    if condition in COMPLETE:
        wanted = np.ones(len(probes), dtype=bool)
    elif condition == AFTER_DISTRACTOR:
        wanted = begun | probes["distractor"]
    else:
        wanted = begun & (condition in WHOLE_SAMPLES)
    missing = probes[wanted].merge(part[["sample_id", "probe_id"]], how="left", indicator="found")
    missing = missing[missing["found"] == "left_only"]
    if len(missing):
        first = missing.iloc[0]
        raise UserError(
            f"{part.iloc[0].file}: run {key[0]}, seed {key[1]}, condition {condition}: "
            f"{len(missing)} probes have no prediction; first: sample {first.sample_id}, probe "
            f"{first.probe_id}"
        )
