"""What the report says of the verdict: in one sentence, with its caveats, and run by run."""

import numpy as np

from ..scoring.verdict import NOT_VIABLE, PARTIAL, UNDEFINED, VIABLE, verdict
from ..vocabulary import COMPARED, HEADLINE_SPLIT, SPLITS
from .results import Results
from .summaries import of_seeds
from .tables.table import estimate

LOW = 0.5  # an EM(A) below this makes the ratio say little
ANSWERS = {
    VIABLE: "Yes.",
    PARTIAL: "In part.",
    NOT_VIABLE: "No.",
    UNDEFINED: "It cannot be said.",
}


def answer(results: Results) -> str:
    """The answer to the question of the report, in one sentence about its main run."""
    run = results.main_run()
    if results.metrics.empty:
        return "**Not measured.** This study holds no conversations; its forecasts are below."
    if run is None:
        return (
            "**Not measured.** No run was asked both with the dialogue in context (A) and from its"
            " fast weights alone (B)."
        )
    row, label = results.efficiency(run), results.label(run)
    context, memory = (f"{one['value']:.1%}" for one in compared(results, run))
    where = f"{row['dialogues']:,} dialogues that are {SPLITS[HEADLINE_SPLIT]} to it"
    if not results.headline(run):
        where = (
            f"{row['dialogues']:,} dialogues: the benchmark does not say which of them are"
            f" {SPLITS[HEADLINE_SPLIT]} to it"
        )
    asked, where = f"{row['n']:,} questions", f"({where}; {of_seeds(row['seeds'])} of training)"
    word = ANSWERS[results.verdict(run)]
    if np.isnan(row["value"]):
        return (
            f"**{word}** With the dialogue in context, {label} answers none of {asked} right, and"
            f" {memory} from its fast weights alone, so there is nothing to compare them with"
            f" {where}."
        )
    return (
        f"**{word}** From its fast weights alone, {label} answers {memory} of {asked} right, and"
        f" {context} with the dialogue in context, so it keeps {estimate(row)} of what the context"
        f" gives {where}."
    )


def compared(results: Results, run: str) -> list:
    """The rows of EM(A) and EM(B) that the verdict on a run compares."""
    fixed = {"run": run, **results.headline(run)}
    return [results.one("em_compared", condition=name, **fixed) for name in COMPARED]


def caveats(results: Results, run: str) -> list[str]:
    """What the verdict on a run leaves open, a sentence each. Its ratio is a number."""
    row, found = results.efficiency(run), []
    if compared(results, run)[0]["value"] < LOW:
        found.append(
            f"EM(A) is below {LOW:g}: so little is answered in context that the ratio says little."
        )
    ends = [verdict(row[end], results.scoring) for end in ("low", "high")]
    if ends[0] != ends[1]:
        found.append(f"The interval reaches from “{ends[0]}” to “{ends[1]}”.")
    more = results.one("em_difference:B-C", run=run, **results.headline(run))
    if more is not None and more["low"] <= 0:
        found.append(
            f"Nothing shows that the fast weights answer more than no memory does: EM(B) less"
            f" EM(C) is {estimate(more)}."
        )
    return found


def verdicts(results: Results) -> str:
    """One paragraph per regime: the verdict, its numbers, and what the interval leaves open."""
    bars = results.scoring
    rule = (
        f"Memory efficiency is EM(B)/EM(A): of what a run answers right with the dialogue in "
        f"context, the part that it answers right from its fast weights alone. The verdict is on "
        f"dialogues of which no training has shown the values, the skeleton or the wording of the "
        f"questions, on levels 1 and 2 (one fact, or two). The other splits stand beside it, and "
        f"the other levels have sections of their own. Of an imported benchmark the verdict is on "
        f"all probes. The bars were fixed before any run: viable above {bars.viable:g}, partial "
        f"from {bars.partial:g} to {bars.viable:g}, not viable below {bars.partial:g}."
    )
    return "\n\n".join([*(_verdict(results, run) for run in results.regimes()), rule])


def _verdict(results: Results, run: str) -> str:
    row, label = results.efficiency(run), results.label(run)
    if row is None:
        return f"**{label}: not measured.** It lacks condition A or B."
    ems = [one["value"] for one in compared(results, run)]
    text = (
        f"**{label}: {results.verdict(run)}.** Memory efficiency {estimate(row)} on"
        f" {results.headline_name(run)}, {row['n']:,} probes of {row['dialogues']:,} dialogues of"
        f" {row['skeletons']:,} skeletons, {of_seeds(row['seeds'])}: EM(A) {ems[0]:.3f},"
        f" EM(B) {ems[1]:.3f}."
    )
    if np.isnan(row["value"]):
        return f"{text} No probe is answered right in context, so there is no ratio."
    text = " ".join([text, *caveats(results, run)])
    others = {name: split for split, name in SPLITS.items() if split != HEADLINE_SPLIT}
    parts = {
        name: results.one("memory_efficiency", run=run, split=split)
        for name, split in others.items()
    }
    beside = [f"{name} {estimate(part)}" for name, part in parts.items() if part is not None]
    return f"{text} Beside it: {'; '.join(beside)}." if beside else text
