"""What was aimed at before the runs, beside what was measured."""

import pandas as pd

from ...vocabulary import HEADLINE_SPLIT
from .cells import SIZE, compared, estimate, markdown, size, sweep
from .study import FinishedStudy

RETENTION, DIALOGUES, APART = 4000, 2, 0.05


def aims(study: FinishedStudy) -> str:
    """A line for each aim: what was measured, and whether its whole interval reaches the aim."""
    found, run = study.results, study.memory
    headline = {"split": HEADLINE_SPLIT}
    context, _, ratio = compared(found, run, **headline)
    *_, reworded = compared(found, run, split="new_wording")
    asked = {"run": run, "condition": "B", **headline}
    latest, old = (found.one(name, level="4", **asked) for name in ("latest", "old"))
    same = {"run": run, "level": "5", "variant": "same skeleton", **headline}
    whose = found.one("memory_efficiency", **same)
    false_answers, false_refusals = (
        found.one(name, **asked) for name in ("false_answers", "false_refusals")
    )
    left = sweep(found, "retention_ratio", run, "retention").get(RETENTION)
    order = sweep(found, "em_difference:last-first", run, "capacity").get(DIALOGUES)
    lines = [
        _at_least("all new: EM(A)", 0.75, context),
        _at_least("all new: EM(B)/EM(A)", 0.8, ratio),
        _at_least("new question wording: EM(B)/EM(A)", 0.95, reworded),
        _at_least("all new, a value changed: B gives the latest", 0.85, latest),
        _at_most("all new, a value changed: B gives the old one", 0.1, old),
        _at_least("all new, two dialogues of one skeleton: EM(B)/EM(A)", 0.85, whose),
        _at_most("all new, unanswerable: false answers of B", 0.1, false_answers),
        _at_most("all new, answerable: false refusals of B", 0.05, false_refusals),
        _at_least(f"share of EM(B) left after {RETENTION:,} tokens of distractor", 0.9, left),
        _line(
            f"EM(B) of the last of {DIALOGUES} dialogues less the first",
            f"within {APART}",
            order,
            lambda values: all(abs(value) <= APART for value in values),
        ),
    ]
    return f"{markdown(lines)}\n\n{study.source()}"


def _at_least(what: str, bar: float, row: pd.Series | None) -> dict[str, str]:
    return _line(what, f"at least {bar}", row, lambda values: min(values) >= bar)


def _at_most(what: str, bar: float, row: pd.Series | None) -> dict[str, str]:
    return _line(what, f"at most {bar}", row, lambda values: max(values) <= bar)


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
