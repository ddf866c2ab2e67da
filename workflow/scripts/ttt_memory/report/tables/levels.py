"""Tables by level: every level and split, values that changed or are another's, and refusals."""

from collections.abc import Iterator, Sequence

from ...vocabulary import (
    BY_LEVEL,
    COMPARED,
    DISTRACTOR_LEVEL,
    HEADLINE_SPLIT,
    LEVELS,
    OUTCOMES,
    REFUSAL_CONDITIONS,
    SPLITS,
)
from ..results import Results
from .table import Table, estimate, sample


def levels(results: Results, runs: Sequence[str]) -> Table | None:
    """EM(A), EM(B) or at level 3 EM(D), and their ratio, by level, split and variant."""
    found, shown = [], []
    for run in runs:
        for names, fixed in _places(results, run):
            memory = "D" if fixed["level"] == DISTRACTOR_LEVEL else "B"
            ems = {c: results.one("em", run=run, condition=c, **fixed) for c in BY_LEVEL}
            ratio = results.one("memory_efficiency", run=run, **fixed)
            found += [*ems.values(), ratio]
            shown.append(
                {
                    "run": results.label(run),
                    **names,
                    **{f"EM({c})": estimate(row) for c, row in ems.items()},
                    "EM(B or D)/EM(A)": estimate(ratio),
                    "probes / dialogues / skeletons / seeds": sample(ems[memory]),
                }
            )
    name = "levels_and_splits"
    return Table.of(name if len(runs) == len(results.runs) else f"{name}_regimes", shown, found)


def _places(results: Results, run: str) -> Iterator[tuple[dict, dict]]:
    """Names and selection of each line of a run: the split of the verdict is the first."""
    splits = [HEADLINE_SPLIT, *(split for split in SPLITS if split != HEADLINE_SPLIT)]
    for level, meaning in LEVELS.items():
        for split in splits:
            fixed = {"level": level, "split": split}
            if results.one("em", run=run, condition="A", **fixed) is None:
                continue
            names = {"level": f"{level} {meaning}", "split": SPLITS[split]}
            yield names | {"variant": "all"}, fixed
            rows = results.rows("em", by=["variant"], run=run, condition="A", **fixed)
            for variant in sorted(rows["variant"]):
                yield names | {"variant": variant}, fixed | {"variant": variant}


def outcomes(results: Results, level: str) -> Table | None:
    """The shares of the right answer, of its rival and of neither, by variant and condition."""
    found, shown = [], []
    for run in results.runs:
        variants = results.rows(OUTCOMES[level][0], by=["level", "variant"], run=run)
        variants = variants[variants["level"] == level]["variant"]
        for fixed in ({}, *({"variant": one} for one in sorted(set(variants)))):
            for condition in COMPARED:
                where = {"run": run, "level": level, "condition": condition}
                where |= fixed | results.headline(run)
                cells = {name: results.one(name, **where) for name in OUTCOMES[level]}
                first = cells[OUTCOMES[level][0]]
                if first is None:
                    continue
                found += cells.values()
                line = {"run": results.label(run), "variant": fixed.get("variant", "all")}
                line |= {"condition": condition}
                line |= {name: estimate(row) for name, row in cells.items()}
                shown.append(line | {"probes / dialogues / skeletons / seeds": sample(first)})
    return Table.of(f"outcomes_level_{level}", shown, found)


def refusals(results: Results) -> Table | None:
    """False answers and false refusals of each run, where it has the text and where it has not."""
    found, shown = [], []
    for run in results.runs:
        for condition in REFUSAL_CONDITIONS:
            fixed = {"run": run, "condition": condition, **results.headline(run)}
            false_answers = results.one("false_answers", **fixed)
            refused = results.one("false_refusals", **fixed)
            if false_answers is None or refused is None:
                continue
            told = condition in COMPARED
            sizes = f"{false_answers['n']:,} and {refused['n']:,}"
            found += [false_answers, refused]
            shown.append(
                {
                    "run": results.label(run),
                    "condition": condition,
                    "false answers": estimate(false_answers),
                    "refused, answerable": estimate(refused),
                    "which is": "false" if told else "right: it was not told",
                    "unanswerable and answerable probes": sizes,
                }
            )
    return Table.of("refusals", shown, found)
