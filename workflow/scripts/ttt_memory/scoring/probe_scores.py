"""Join predictions with their probes, check that none is missing, and score each of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..benchmark import Sample
from ..benchmark.sample import IMPORTED, REFUSALS, UNANSWERABLE
from ..errors import UserError
from ..vocabulary import CONDITIONS, EVERY_PROBE, SWEPT, THIRDS
from . import string_metrics
from .predictions import KEY

METRICS = ["em", "em_contains", "f1_char", "f1_token", "degenerate", "refused", "says_rival"]
PROBE_ORDER_LEVELS = (1, 3)  # levels whose probes follow the order of the facts, as published


def score(samples: Sequence[Sample], predictions: pd.DataFrame) -> pd.DataFrame:
    """The rows of `read_predictions` with the `attributes` of their probes and the `METRICS`.

    Metrics are float64: 0 or 1, but for `f1_char` and `f1_token`. Of several right answers, the one
    that gives the highest value counts. `refused` says whether the answer is a refusal, of any
    language; at an unanswerable probe that is the gold answer. `says_rival` says whether the answer
    is the rival of the probe.

    Raises:
        UserError: a prediction is for an unknown sample, probe or condition; a probe has two
            predictions; a probe that the condition must answer has none; a gold answer differs
            from the benchmark's.
    """
    probes = attributes(samples)
    rows = predictions.merge(
        probes, on=["sample_id", "probe_id"], how="left", suffixes=("_given", ""), indicator=True
    )
    _check_known(rows, set(probes["sample_id"]))
    _check_conditions(rows)
    _check_unique(rows)
    _check_gold(rows)
    for key, part in rows.groupby(KEY[:6], dropna=False, sort=False):
        _check_complete(part, probes, key)
    for name in METRICS:
        rows[name] = [_value(name, row) for row in rows.itertuples(index=False)]
    return rows.drop(columns=["_merge", "gold_given", "file", "accepted", "too_long"])


def _value(name: str, row: NamedTuple) -> float:
    """One metric of one row. The strict one compares the answer, the others all that was said."""
    if name == "degenerate":
        return float(string_metrics.degenerate(row.prediction))
    if name == "refused":
        return string_metrics.best(string_metrics.exact, row.answer, REFUSALS.values())
    if name == "says_rival":
        return float(isinstance(row.rival, str) and string_metrics.exact(row.answer, row.rival))
    golds = (row.gold, *row.accepted)
    if name == "em":
        return string_metrics.best(string_metrics.exact, row.answer, golds)
    if name == "em_contains":
        return string_metrics.best(string_metrics.contains, row.prediction, golds)
    if name == "f1_char":
        return string_metrics.best(string_metrics.f1_char, row.prediction, golds)
    listed = row.kind == string_metrics.LISTED
    return string_metrics.best(string_metrics.f1_token, row.prediction, golds, listed)


def attributes(samples: Sequence[Sample]) -> pd.DataFrame:
    """The attributes that metrics are broken down by, one row per probe of the benchmark.

    `categories` has one entry for each required fact, so it may hold a category twice.
    `position` is None where the place of the value in the dialogue is unknown.
    """
    rows = []
    for sample in samples:
        facts = {fact.fact_id: fact for fact in sample.facts}
        for place, probe in enumerate(sample.probes):
            required = [facts[fact_id] for fact_id in probe.required_facts]
            start = sample.place(required[0]) if required and required[0].start >= 0 else -1
            rows.append(
                {
                    "sample_id": sample.sample_id,
                    "probe_id": probe.probe_id,
                    "level": str(sample.level),
                    "language": sample.language,
                    "split": sample.split,
                    "variant": sample.variant or None,
                    # A dialogue without a skeleton is a cluster of its own.
                    "skeleton": sample.skeleton_id or sample.sample_id,
                    "grounding": probe.grounding,
                    "kind": probe.kind,
                    "composition": composition(probe.kind, len(required)),
                    "categories": [fact.category for fact in required],
                    "position": third(start, sample.characters) if start >= 0 else None,
                    "probe_order": third(place, len(sample.probes))
                    if sample.level in PROBE_ORDER_LEVELS and sample.split != IMPORTED
                    else None,
                    "distractor": sample.distractor is not None,
                    "gold": probe.gold,
                    "accepted": probe.accepted,
                    "rival": probe.rival,
                }
            )
    return pd.DataFrame(rows)


def third(place: int, length: int) -> str:
    """The third of a text or list of `length` that `place`, counted from 0, is in."""
    return THIRDS[min(3 * place // length, 2)]


def composition(kind: str, required: int) -> str:
    """How the answer is composed of facts: "single", "bridge", "pair", "several", or "none"."""
    start = kind.split(":")[0]
    if start in ("bridge", "pair"):
        return start
    if kind == UNANSWERABLE:
        return "none"
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
    known = (*CONDITIONS, *SWEPT)
    for row in rows[~rows["condition"].isin(known)].itertuples():
        raise UserError(f"{row.file}: condition {row.condition!r}, expected one of {known}")
    for row in rows[rows["condition"].isin(SWEPT) & rows["setting"].isna()].itertuples():
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
    """Refuse a condition that lacks a probe it must answer.

    If it answers any probe of a sample, it must answer all of them, except in a sweep that leaves
    out probes on purpose.
    """
    condition = key[2]
    begun = probes["sample_id"].isin(part["sample_id"])
    if condition in EVERY_PROBE:
        wanted = np.ones(len(probes), dtype=bool)
    elif condition in CONDITIONS:
        wanted = begun | probes["distractor"]
    else:
        wanted = begun & SWEPT[condition].whole_samples
    missing = probes[wanted].merge(part[["sample_id", "probe_id"]], how="left", indicator="found")
    missing = missing[missing["found"] == "left_only"]
    if len(missing):
        first = missing.iloc[0]
        raise UserError(
            f"{part.iloc[0].file}: run {key[0]}, seed {key[1]}, condition {condition}: "
            f"{len(missing)} probes have no prediction; first: sample {first.sample_id}, probe "
            f"{first.probe_id}"
        )
