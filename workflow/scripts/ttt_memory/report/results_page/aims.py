"""What was aimed at before the runs, beside what was measured."""

import pandas as pd

from .cells import SIZE, compared, estimate, markdown, size, sweep
from .study import FinishedStudy

RETENTION, DIALOGUES, APART = 4000, 2, 0.05


def aims(study: FinishedStudy) -> str:
    """A line for each aim: what was measured, and whether its whole interval reaches the aim."""
    found, run = study.results, study.memory
    context, _, ratio = compared(found, run, split="heldout_values")
    wording = {"split": "heldout_skeletons", "grounding": "shared"}
    worded_context, _, worded_ratio = compared(found, run, **wording)
    left = sweep(found, "retention_ratio", run, "retention").get(RETENTION)
    order = sweep(found, "em_difference:last-first", run, "capacity").get(DIALOGUES)
    shared = "new wording, questions that share words with their fact"
    lines = [
        _at_least("new values: EM(A)", 0.95, context),
        _at_least("new values: EM(B)/EM(A)", 0.97, ratio),
        _at_least(f"share of EM(B) left after {RETENTION:,} tokens of distractor", 0.9, left),
        _line(
            f"EM(B) of the last of {DIALOGUES} dialogues less the first",
            f"within {APART}",
            order,
            lambda values: all(abs(value) <= APART for value in values),
        ),
        _at_least(f"{shared}: EM(A)", 0.75, worded_context),
        _at_least(f"{shared}: EM(B)/EM(A)", 0.9, worded_ratio),
    ]
    return f"{markdown(lines)}\n\n{study.source()}"


def _at_least(what: str, bar: float, row: pd.Series | None) -> dict[str, str]:
    return _line(what, f"at least {bar}", row, lambda values: min(values) >= bar)


def _line(what: str, aim: str, row: pd.Series | None, meets) -> dict[str, str]:
    if row is None:
        reached = "not measured"
    elif meets([row["low"], row["value"], row["high"]]):
        reached = "yes, by the whole interval"
    else:
        reached = "by the estimate only" if meets([row["value"]]) else "no"
    return {
        "aim": what,
        "bar": aim,
        "measured": estimate(row),
        "reached": reached,
        SIZE: size(row),
    }
