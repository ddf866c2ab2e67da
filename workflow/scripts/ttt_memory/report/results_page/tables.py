"""The tables of docs/results.md and of the README, each a function of a finished study."""

from collections.abc import Callable, Iterator

import pandas as pd

from ...errors import UserError
from ..results import CONDITIONS, LEVELS, Results
from ..tables.common import estimate
from .cells import compared, markdown, size, sweep, value
from .study import FinishedStudy

SPLITS = {
    "train": "seen values, seen wording",
    "heldout_values": "new values",
    "heldout_skeletons": "new wording",
    "heldout_both": "new values, new wording",
}
NEW_VALUES = "heldout_values"
GROUNDINGS = {"shared": "share words", "none": "share none"}
RATIO = "EM(B)/EM(A)"


def answer(study: FinishedStudy) -> str:
    """The README's table: six rows, the hard cases among them.

    Raises:
        UserError: a sweep that a row is of was not run.
    """
    found, run = study.results, study.memory
    rows = {
        "new values": compared(found, run, split="heldout_values"),
        "new wording of dialogue and question": compared(found, run, split="heldout_skeletons"),
        "new values and new wording": compared(found, run, split="heldout_both"),
        **_after_distractor(study),
        **_most_dialogues(study),
        "new values, trained as published (base frozen)": compared(
            found, study.published, split="heldout_values"
        ),
    }
    lines = [
        {
            "What is asked": name,
            "EM(A)": value(context),
            "EM(B)": value(memory),
            RATIO: ratio if isinstance(ratio, str) else estimate(ratio),
            "probes × seeds": size(memory),
        }
        for name, (context, memory, ratio) in rows.items()
    ]
    return f"{markdown(lines)}\n\n{_below(study)}\n\n{study.source()}"


def _below(study: FinishedStudy) -> str:
    """What no row of the README's table shows: the controls, and a distractor in A's context."""
    found, run = study.results, study.memory
    controls = [found.one("em", run=run, condition=name) for name in "CWN"]
    floor = max((row["value"] for row in controls if row is not None), default=float("nan"))
    fixed = {"level": "3", "split": NEW_VALUES}
    context, memory = (found.one("em", run=run, condition=name, **fixed) for name in ("A", "D"))
    base = found.one("em", run=study.published, condition="A", **fixed)
    low, high = study.record["config"]["benchmark"]["distractor_tokens"]
    return (
        f"Nothing, another dialogue's fast weights, or noise of equal norm: at most {floor:.3f}."
        f" With {low:,} to {high:,} tokens of distractor behind the dialogue, A falls to"
        f" {value(context)} (the base itself to {value(base)}) and B to {value(memory)}."
    )


def _after_distractor(study: FinishedStudy) -> dict[str, tuple]:
    """B after the longest distractor: its share of B before, since A has not read that text."""
    rows = _required(study, "retention")
    longest = max(rows)
    share = sweep(study.results, "retention_ratio", study.memory, "retention")[longest]
    name = f"{_swept_split(study)}, after {longest:,.0f} tokens of distractor"
    return {name: (None, rows[longest], f"{estimate(share)} of EM(B) before")}


def _most_dialogues(study: FinishedStudy) -> dict[str, tuple]:
    rows = _required(study, "capacity")
    most = max(rows)
    context, ratio = (
        sweep(study.results, metric, study.memory, condition).get(most)
        for metric, condition in (("em", "capacity_context"), ("memory_efficiency", "capacity"))
    )
    return {f"{_swept_split(study)}, {most:.0f} dialogues at once": (context, rows[most], ratio)}


def _required(study: FinishedStudy, condition: str) -> dict[float, pd.Series]:
    if rows := sweep(study.results, "em", study.memory, condition):
        return rows
    raise UserError(f"run {study.memory}: found no sweep {condition!r}, expected one")


def _swept_split(study: FinishedStudy) -> str:
    return SPLITS[study.record["config"]["recall"]["sweep_split"]]


def splits(study: FinishedStudy) -> str:
    """Levels 1 and 2 by what of the dialogue is new, and by whether question and fact share words.

    The ratio of each training seed stands beside the one of all.
    """
    found = study.results
    lines = []
    for run in found.runs:
        for name, words, fixed in _parts():
            context, memory, ratio = compared(found, run, **fixed)
            if ratio is None or (words == GROUNDINGS["shared"] and _no_other(found, run, fixed)):
                continue
            by_seed = found.rows("memory_efficiency", by=["seed"], run=run, **fixed)
            by_seed = by_seed.sort_values("seed", key=lambda seeds: seeds.astype(int))
            lines.append(
                {
                    "run": found.label(run),
                    "dialogue": name,
                    "question and fact": words,
                    "EM(A)": estimate(context),
                    "EM(B)": estimate(memory),
                    RATIO: estimate(ratio),
                    "ratio of each seed": ", ".join(f"{each:.3f}" for each in by_seed["value"]),
                    "probes × seeds": size(ratio),
                }
            )
    return f"{markdown(lines)}\n\n{study.source()}"


def _parts() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Name, grounding and selection of each line of `splits` of a run."""
    yield "all", "all", {}
    for split, name in SPLITS.items():
        yield name, "all", {"split": split}
        for grounding, words in GROUNDINGS.items():
            yield name, words, {"split": split, "grounding": grounding}


def _no_other(results: Results, run: str, fixed: dict[str, str]) -> bool:
    """Whether all questions of the split share words with their fact, so that one line says it."""
    return results.one("memory_efficiency", run=run, **fixed | {"grounding": "none"}) is None


def levels(study: FinishedStudy) -> str:
    """New values by level: one fact, two facts, one fact with a distractor."""
    found = study.results
    lines = []
    for run in found.runs:
        for level in LEVELS:
            fixed = {"run": run, "level": level, "split": NEW_VALUES}
            ems = {name: found.one("em", condition=name, **fixed) for name in "ABD"}
            if ems["B"] is None:
                continue
            lines.append(
                {
                    "run": found.label(run),
                    "level": level,
                    **{f"EM({name})": estimate(row) for name, row in ems.items()},
                    RATIO: estimate(found.one("memory_efficiency", **fixed)),
                    "EM(D)/EM(B)": estimate(
                        found.one("retention_ratio", **fixed) if ems["D"] is not None else None
                    ),
                    "probes × seeds": size(ems["B"]),
                }
            )
    return f"{markdown(lines)}\n\n{study.source()}"


def conditions(study: FinishedStudy) -> str:
    """EM of every run under every condition, all splits and levels together."""
    found = study.results
    lines = [
        {
            "run": found.label(run),
            **{name: estimate(found.one("em", run=run, condition=name)) for name in CONDITIONS},
            "probes × seeds": size(found.one("em", run=run, condition="B")),
            "guessing floor": " to ".join(
                value(found.one(metric, run=run)) for metric in ("em_floor_others", "em_floor")
            ),
        }
        for run in found.runs
    ]
    return f"{markdown(lines)}\n\n{study.source()}"


def retention(study: FinishedStudy) -> str:
    """EM(B) after each number of tokens of distractor, and its share of EM(B) without any."""
    lines = []
    for run, rows in _swept(study, "retention"):
        shares = sweep(study.results, "retention_ratio", run, "retention")
        lines += [
            {
                "run": study.results.label(run),
                "tokens of distractor": f"{tokens:,.0f}",
                "EM(B)": estimate(row),
                "share of EM(B) without": estimate(shares.get(tokens)),
                "probes × seeds": size(row),
            }
            for tokens, row in rows.items()
        ]
    return f"{markdown(lines)}\n\n{study.source()}"


def capacity(study: FinishedStudy) -> str:
    """Several dialogues in one state, against all of them in context; the last and the first."""
    lines = []
    for run, rows in _swept(study, "capacity"):
        context, ratios, order = (
            sweep(study.results, *key)
            for key in (
                ("em", run, "capacity_context"),
                ("memory_efficiency", run, "capacity"),
                ("em_difference:last-first", run, "capacity"),
            )
        )
        lines += [
            {
                "run": study.results.label(run),
                "dialogues": f"{dialogues:.0f}",
                "EM(A)": estimate(context.get(dialogues)),
                "EM(B)": estimate(row),
                RATIO: estimate(ratios.get(dialogues)),
                "EM(B) of the last written less the first": estimate(order.get(dialogues)),
                "probes × seeds": size(row),
            }
            for dialogues, row in rows.items()
        ]
    return f"{markdown(lines)}\n\n{study.source()}"


def attribution(study: FinishedStudy) -> str:
    """Memory efficiency and retention of the runs that change one thing of the baseline.

    Raises:
        UserError: there is no such run.
    """
    found = study.results
    if not found.compared():
        raise UserError(
            f"found the runs {found.runs}, expected one whose `differs` says what it is"
        )
    lines = []
    for run in found.compared():
        ratio = found.one("memory_efficiency", run=run, split=NEW_VALUES)
        kept = sweep(found, "retention_ratio", run, "retention")
        text = found.texts[run]
        lines.append(
            {
                "changed": text.differs or f"nothing: {text.label}",
                RATIO: estimate(ratio),
                "probes × seeds": size(ratio),
                **{f"left after {n:,.0f} tokens": estimate(row) for n, row in kept.items()},
            }
        )
    return f"{markdown(lines)}\n\n{study.source()}"


TABLES: dict[str, Callable[[FinishedStudy], str]] = {
    "splits": splits,
    "levels": levels,
    "conditions": conditions,
    "retention": retention,
    "capacity": capacity,
}


def _swept(study: FinishedStudy, condition: str) -> Iterator[tuple[str, dict[float, pd.Series]]]:
    """The runs that went through a sweep, and EM at each of its settings."""
    for run in study.results.runs:
        if rows := sweep(study.results, "em", run, condition):
            yield run, rows
