"""The tables of docs/results.md, each a function of a finished study: a table for each run."""

from collections.abc import Callable, Iterator

import pandas as pd

from ...errors import UserError
from ...vocabulary import BY_LEVEL, CONDITIONS
from ...vocabulary import NEW_IN_SPLITS as SPLITS
from ..results import LEVELS, Results
from .cells import (
    NEW_VALUES,
    RATIO,
    SIZE,
    compared,
    estimate,
    markdown,
    size,
    sweep,
    value,
)
from .study import FinishedStudy

GROUNDINGS = {"shared": "share words", "none": "share none"}


def splits(study: FinishedStudy) -> str:
    """Levels 1 and 2 by what of the dialogue is new, and by whether question and fact share words.

    Below each table, the ratio of each training seed.
    """
    found = study.results
    tables = {}
    for run in study.runs:
        lines = []
        for name, fixed in _parts():
            context, memory, ratio = compared(found, run, **fixed)
            if ratio is None or _said_already(found, run, fixed):
                continue
            line = {"dialogue": name, "EM(A)": estimate(context), "EM(B)": estimate(memory)}
            lines.append(line | {RATIO: estimate(ratio), SIZE: size(ratio)})
        tables[run] = f"{markdown(lines)}\n\n{_of_each_seed(found, run)}"
    return _page(study, tables)


def _parts() -> Iterator[tuple[str, dict[str, str]]]:
    """Name and selection of each line of a run in `splits`."""
    yield "all", {}
    for split, name in SPLITS.items():
        yield name, {"split": split}
        for grounding, words in GROUNDINGS.items():
            yield f"– question and fact {words}", {"split": split, "grounding": grounding}


def _said_already(results: Results, run: str, fixed: dict[str, str]) -> bool:
    """Whether the questions that share words with their fact are all questions of the split."""
    if fixed.get("grounding") != "shared":
        return False
    return results.one("memory_efficiency", run=run, **fixed | {"grounding": "none"}) is None


def _of_each_seed(results: Results, run: str) -> str:
    parts = []
    for split, name in SPLITS.items():
        rows = results.rows("memory_efficiency", by=["seed"], run=run, split=split)
        rows = rows.sort_values("seed", key=lambda seeds: seeds.astype(int))
        parts.append(f"{name} {', '.join(f'{each:.3f}' for each in rows['value'])}")
    return f"{RATIO} of each training seed: {'; '.join(parts)}."


def levels(study: FinishedStudy) -> str:
    """New values by level: one fact, two facts, one fact with a distractor."""
    found = study.results
    tables = {}
    for run in study.runs:
        lines = []
        for level in LEVELS:
            fixed = {"run": run, "level": level, "split": NEW_VALUES}
            ems = {name: found.one("em", condition=name, **fixed) for name in BY_LEVEL}
            if ems["B"] is None:
                continue
            line = {"level": level} | {f"EM({name})": estimate(ems[name]) for name in BY_LEVEL}
            line[RATIO] = estimate(found.one("memory_efficiency", **fixed))
            kept = found.one("retention_ratio", **fixed) if ems["D"] is not None else None
            lines.append(line | {"EM(D)/EM(B)": estimate(kept), SIZE: size(ems["B"])})
        tables[run] = markdown(lines)
    return _page(study, tables)


def conditions(study: FinishedStudy) -> str:
    """EM of every run under every condition, all splits and levels together."""
    found = study.results
    lines = [
        {
            "run": found.label(run),
            **{name: estimate(found.one("em", run=run, condition=name)) for name in CONDITIONS},
            SIZE: size(found.one("em", run=run, condition="B")),
            "guessing floor": " to ".join(
                value(found.one(metric, run=run)) for metric in ("em_floor_others", "em_floor")
            ),
        }
        for run in study.runs
    ]
    return f"{markdown(lines)}\n\n{study.source()}"


def retention(study: FinishedStudy) -> str:
    """EM(B) after each number of tokens of distractor, and its share of EM(B) without any."""
    tables = {}
    for run, rows in _swept(study, "retention"):
        shares = sweep(study.results, "retention_ratio", run, "retention")
        tables[run] = markdown(
            [
                {
                    "tokens of distractor": f"{tokens:,.0f}",
                    "EM(B)": estimate(row),
                    "share of EM(B) without": estimate(shares.get(tokens)),
                    SIZE: size(row),
                }
                for tokens, row in rows.items()
            ]
        )
    return _page(study, tables)


def capacity(study: FinishedStudy) -> str:
    """Several dialogues in one state, against all of them in context; the last and the first."""
    tables = {}
    for run, rows in _swept(study, "capacity"):
        context, ratios, order = (
            sweep(study.results, metric, run, condition)
            for metric, condition in (
                ("em", "capacity_context"),
                ("memory_efficiency", "capacity"),
                ("em_difference:last-first", "capacity"),
            )
        )
        tables[run] = markdown(
            [
                {
                    "dialogues": f"{dialogues:.0f}",
                    "EM(A)": estimate(context.get(dialogues)),
                    "EM(B)": estimate(row),
                    RATIO: estimate(ratios.get(dialogues)),
                    "EM(B), last less first": estimate(order.get(dialogues)),
                    SIZE: size(row),
                }
                for dialogues, row in rows.items()
            ]
        )
    return _page(study, tables)


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
                "changed": text.differs or text.label,
                RATIO: estimate(ratio),
                SIZE: size(ratio),
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
    for run in study.runs:
        if rows := sweep(study.results, "em", run, condition):
            yield run, rows


def _page(study: FinishedStudy, tables: dict[str, str]) -> str:
    """Each run's table under its label, then where the numbers come from."""
    parts = [f"**{study.results.label(run)}**\n\n{table}" for run, table in tables.items()]
    return "\n\n".join([*parts, study.source()])
