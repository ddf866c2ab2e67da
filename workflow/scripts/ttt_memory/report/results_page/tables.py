"""The tables of docs/results.md, each a function of a finished study: a table for each run."""

from collections.abc import Callable, Iterator
from itertools import product

import pandas as pd

from ...errors import UserError
from ...scoring.schemas import DIFFERENCE
from ...vocabulary import (
    BY_LEVEL,
    COMPARED,
    CONDITIONS,
    HEADLINE_SPLIT,
    OUTCOMES,
    REFUSAL_CONDITIONS,
    REFUSING,
    SPLITS,
)
from ...vocabulary import LEVELS as LEVEL_NAMES
from .. import wording
from ..equal_bytes import shown_run
from ..results import Results
from ..tables import equal_bytes as alternatives
from ..tables import runs
from ..tables.runs import p_value
from .cells import (
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
        if lines:
            tables[run] = f"{markdown(lines)}\n\n{_of_each_seed(found, run)}"
    return _page(study, tables)


def _parts() -> Iterator[tuple[str, dict[str, str]]]:
    """Name and selection of each line of a run in `splits`."""
    for split in (HEADLINE_SPLIT, *(other for other in SPLITS if other != HEADLINE_SPLIT)):
        name = SPLITS[split]
        yield name, {"split": split}
        for grounding, words in GROUNDINGS.items():
            yield f"– question and fact {words}", {"split": split, "grounding": grounding}
    yield "all", {}


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
        if len(rows):
            parts.append(f"{name} {', '.join(f'{each:.3f}' for each in rows['value'])}")
    return f"{RATIO} of each training seed: {'; '.join(parts)}."


def levels(study: FinishedStudy) -> str:
    """The split of the verdict by level; below each level, its variants."""
    found = study.results
    tables = {}
    for run in study.runs:
        lines = []
        for name, part in _of_levels(found, run):
            fixed = {"run": run, "split": HEADLINE_SPLIT, **part}
            ems = {name: found.one("em", condition=name, **fixed) for name in BY_LEVEL}
            if ems["B"] is None:
                continue
            line = {"level": name} | {f"EM({name})": estimate(ems[name]) for name in BY_LEVEL}
            line["EM(B or D)/EM(A)"] = estimate(found.one("memory_efficiency", **fixed))
            kept = found.one("retention_ratio", **fixed) if ems["D"] is not None else None
            lines.append(line | {"EM(D)/EM(B)": estimate(kept), SIZE: size(ems["B"])})
        if lines:
            tables[run] = markdown(lines)
    return _page(study, tables)


def _of_levels(found: Results, run: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and selection of each line of a run in `levels`."""
    for level, name in LEVEL_NAMES.items():
        yield f"{level}, {name}", {"level": level}
        fixed = {"run": run, "level": level, "split": HEADLINE_SPLIT, "condition": "B"}
        for variant in sorted(found.rows("em", by=["variant"], **fixed)["variant"]):
            yield f"– {variant}", {"level": level, "variant": variant}


def outcomes(study: FinishedStudy) -> str:
    """Levels 4 and 5, split of the verdict: the right answer, its rival, or neither."""
    found = study.results
    lines = []
    for run, level in product(study.runs, OUTCOMES):
        for name, part in _of_levels(found, run):
            if part["level"] != level:
                continue
            for condition in COMPARED:
                fixed = {"run": run, "split": HEADLINE_SPLIT, "condition": condition, **part}
                rows = [found.one(outcome, **fixed) for outcome in OUTCOMES[level]]
                if rows[0] is not None:
                    line = {"run": found.label(run), "level": name, "condition": condition}
                    cells = map(estimate, rows)
                    line |= dict(zip(("right", "old or other's", "neither"), cells, strict=True))
                    lines.append(line | {SIZE: size(rows[0])})
    return f"{markdown(lines)}\n\n{study.source()}"


def refusals(study: FinishedStudy) -> str:
    """False answers to what nothing answers, and refusals of what is answerable."""
    found = study.results
    lines = []
    for run, condition in product(study.runs, REFUSAL_CONDITIONS):
        fixed = {"run": run, "condition": condition, "split": HEADLINE_SPLIT}
        wrong, refused = (found.one(name, **fixed) for name in ("false_answers", "false_refusals"))
        if wrong is None or refused is None:
            continue
        lines.append(
            {
                "run": found.label(run),
                "condition": condition,
                "false answers": estimate(wrong),
                "unanswerable, probes × seeds": size(wrong),
                "refusals of the answerable": estimate(refused),
                "which are": "right" if condition in REFUSING else "false",
                "answerable, probes × seeds": size(refused),
            }
        )
    return f"{markdown(lines)}\n\n{study.source()}"


def conditions(study: FinishedStudy) -> str:
    """EM and refusals of every run under every condition, split of the verdict, all levels."""
    found = study.results
    lines = []
    for run in study.runs:
        fixed = {"run": run, "split": HEADLINE_SPLIT}
        for metric in ("em", "refused"):
            rows = {name: found.one(metric, condition=name, **fixed) for name in CONDITIONS}
            line = {"run": found.label(run), "share": metric}
            line |= {name: estimate(row) for name, row in rows.items()}
            line |= {SIZE: size(rows["B"])}
            if metric == "em":
                floors = (found.one(name, **fixed) for name in ("em_floor_others", "em_floor"))
                line["guessing floor"] = " to ".join(map(value, floors))
            lines.append(line)
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
        ratio = found.one("memory_efficiency", run=run, split=HEADLINE_SPLIT)
        kept = sweep(found, "retention_ratio", run, "retention")
        test = found.comparison(DIFFERENCE, run, study.memory, "B")
        text = found.texts[run]
        lines.append(
            {
                "changed": text.differs or text.label,
                "keys that differ": found.changes(run) or "–",
                RATIO: estimate(ratio),
                SIZE: size(ratio),
                "EM(B), less that of the first line": estimate(test),
                "p (Holm)": p_value(test),
                **{f"left after {n:,.0f} tokens": estimate(row) for n, row in kept.items()},
            }
        )
    return f"{markdown(lines)}\n\n{study.source()}"


def efficiency(study: FinishedStudy) -> str:
    """EM of each memory divided by EM(A) of the same model and of runs without a memory.

    Raises:
        UserError: no run was asked both in context and from its fast weights.
    """
    table = runs.efficiency(study.results)
    if table is None:
        raise UserError(f"found the runs {study.runs}, expected one with conditions A and B")
    return f"{markdown(table.shown.to_dict('records'))}\n\n{study.source()}"


def equal_bytes(study: FinishedStudy) -> str:
    """Where fast weights win and lose at equal bytes, and every method with its costs."""
    run = shown_run(study.results)
    if run is None:
        return f"No other way to keep a dialogue was asked.\n\n{study.source()}"
    made = (alternatives.sizes(study.results), alternatives.methods(study.results))
    timed = ["seconds to write", "seconds of an answer"]
    tables = [table.shown.drop(columns=timed, errors="ignore") for table in made]
    shown = [markdown(table.to_dict("records")) for table in tables]
    return "\n\n".join([wording.at_equal_bytes(study.results, run), *shown, study.source()])


TABLES: dict[str, Callable[[FinishedStudy], str]] = {
    "splits": splits,
    "levels": levels,
    "outcomes": outcomes,
    "refusals": refusals,
    "efficiency": efficiency,
    "conditions": conditions,
    "retention": retention,
    "capacity": capacity,
    "equal_bytes": equal_bytes,
}


def _swept(study: FinishedStudy, condition: str) -> Iterator[tuple[str, dict[float, pd.Series]]]:
    """The runs that went through a sweep, and EM at each of its settings."""
    for run in study.runs:
        if rows := sweep(study.results, "em", run, condition):
            yield run, rows


def _page(study: FinishedStudy, tables: dict[str, str]) -> str:
    """Each run's table under its label, then where the numbers come from.

    A run that was not asked from its memory has no table.
    """
    parts = [f"**{study.results.label(run)}**\n\n{table}" for run, table in tables.items()]
    return "\n\n".join([*parts, study.source()])
