"""The README's table: six rows, the hard cases among them."""

import pandas as pd

from ...errors import UserError
from ...vocabulary import BEHIND_DISTRACTOR, CONTROLS
from ...vocabulary import NEW_IN_SPLITS as SPLITS
from .cells import NEW_VALUES, RATIO, SIZE, compared, estimate, markdown, size, sweep, value
from .study import FinishedStudy


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
            SIZE: size(memory),
        }
        for name, (context, memory, ratio) in rows.items()
    ]
    return f"{markdown(lines)}\n\n{_below(study)}\n\n{study.source()}"


def _below(study: FinishedStudy) -> str:
    """What no row of the README's table shows: the controls, and a distractor in A's context."""
    found, run = study.results, study.memory
    controls = [found.one("em", run=run, condition=name) for name in CONTROLS]
    floor = max((row["value"] for row in controls if row is not None), default=float("nan"))
    fixed = {"level": "3", "split": NEW_VALUES}
    rows = (found.one("em", run=run, condition=name, **fixed) for name in BEHIND_DISTRACTOR)
    context, memory = rows
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
