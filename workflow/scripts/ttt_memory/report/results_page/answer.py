"""The README's table: what nothing of was trained first, then the easier and the harder cases."""

import pandas as pd

from ...errors import UserError
from ...vocabulary import (
    BEHIND_DISTRACTOR,
    COMPARED,
    CONTROLS,
    DISTRACTOR_LEVEL,
    HEADLINE_SPLIT,
    LEVELS,
    OUTCOMES,
    SAME_TEXT,
    SPLITS,
)
from .cells import RATIO, SIZE, compared, estimate, markdown, size, sweep, value
from .study import FinishedStudy

NEW = [split for split in SPLITS if split != "train"]


def answer(study: FinishedStudy) -> str:
    """The README's table. The first row is the one that the verdict is of.

    Raises:
        UserError: a sweep that a row is of was not run.
    """
    found, run = study.results, study.memory
    splits = [HEADLINE_SPLIT, *(split for split in NEW if split != HEADLINE_SPLIT)]
    rows = {
        **{SPLITS[split]: compared(found, run, split=split) for split in splits},
        **_of_levels(study),
        **_after_distractor(study),
        **_most_dialogues(study),
        f"{SPLITS[HEADLINE_SPLIT]}, trained as published (base frozen)": compared(
            found, study.published, split=HEADLINE_SPLIT
        ),
    }
    lines = [
        {
            "What is asked": name,
            "EM(A)": value(context),
            "EM(B)": value(memory),
            RATIO: ratio if isinstance(ratio, str) else estimate(ratio),
            SIZE: size(memory),
        }
        for name, (context, memory, ratio) in rows.items()
    ]
    return f"{markdown(lines)}\n\n{_below(study)}\n\n{study.source()}"


def _below(study: FinishedStudy) -> str:
    """What no row of the README's table shows: the controls, refusals, and A behind a distractor.

    The controls are those of levels 1 and 2: elsewhere a refusal may be right.
    """
    found, run = study.results, study.memory
    fixed = {"split": HEADLINE_SPLIT}
    controls = [
        found.one("em", run=run, condition=name, level=level, **fixed)
        for name in CONTROLS
        for level in SAME_TEXT
    ]
    floor = max((row["value"] for row in controls if row is not None), default=float("nan"))
    false_answers, refusals = (
        found.one(name, run=run, condition="B", **fixed)
        for name in ("false_answers", "false_refusals")
    )
    fixed["level"] = DISTRACTOR_LEVEL
    rows = (found.one("em", run=run, condition=name, **fixed) for name in BEHIND_DISTRACTOR)
    context, memory = rows
    base = found.one("em", run=study.published, condition="A", **fixed)
    low, high = study.record["config"]["benchmark"]["distractor_tokens"]
    return (
        f"Nothing, another dialogue's fast weights, or noise of equal norm: at most {floor:.3f} of"
        f" answerable questions. Asked what was never told, B gives a false answer to"
        f" {value(false_answers)}; it refuses {value(refusals)} of what it could answer."
        f" With {low:,} to {high:,} tokens of distractor behind the dialogue, A falls to"
        f" {value(context)} (the base itself to {value(base)}) and B to {value(memory)}."
    )


def _of_levels(study: FinishedStudy) -> dict[str, tuple]:
    """Levels 4 and 5: the right answers, and the share of the rival among B's answers."""
    found, run = study.results, study.memory
    rows = {}
    for level, (right, rival, _) in OUTCOMES.items():
        fixed = {"run": run, "level": level, "split": HEADLINE_SPLIT}
        sides = [found.one(right, condition=name, **fixed) for name in COMPARED]
        wrong = found.one(rival, condition="B", **fixed)
        if wrong is not None:
            text = f"{estimate(wrong)} of B's answers are the {rival}"
            rows[f"{SPLITS[HEADLINE_SPLIT]}, {LEVELS[level]}"] = (*sides, text)
    return rows


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
