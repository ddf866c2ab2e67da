"""Tables that set runs side by side: attribution, paired differences, and efficiency."""

import pandas as pd

from ...scoring.schemas import DIFFERENCE, EFFICIENCY
from ...vocabulary import COMPARED, DISTRACTOR_LEVEL, RETENTION_RATIO
from ..results import Results
from .table import Table, estimate, records, sample

SIZE = "probes / dialogues / skeletons / seeds"


def attribution(results: Results) -> Table | None:
    """The baseline, the runs that change one thing of it, and the others.

    Beside what a run says of itself stand the keys in which it differs from the baseline.
    """
    baseline = results.report.baseline
    found, shown = [], []
    for run in results.compared():
        fixed = {"run": run, **results.headline(run)}
        rows = [results.one("em_compared", condition=c, **fixed) for c in COMPARED]
        rows += [results.efficiency(run), results.one("retention_ratio", **fixed)]
        test = results.comparison(DIFFERENCE, run, baseline, "B")
        found += [*rows, test]
        differs = "" if run == baseline else results.texts[run].differs or "(another regime)"
        shown.append(
            {
                "run": results.label(run),
                "differs in": differs or "(the baseline)",
                "EM(A)": estimate(rows[0]),
                "EM(B)": estimate(rows[1]),
                "EM(B)/EM(A)": estimate(rows[2]),
                "EM(B), less the baseline's": estimate(test),
                "p (Holm)": p_value(test),
                "EM(D)/EM(B)": estimate(rows[3]),
                "seeds": str(rows[2]["seeds"]) if rows[2] is not None else "–",
                "keys that differ": results.changes(run) or "–",
            }
        )
    return Table.of("attribution", shown, found)


def differences(results: Results) -> Table | None:
    """Paired differences of EM between every run and the baseline, with corrected p values."""
    rows = results.comparisons[results.comparisons["kind"] == DIFFERENCE]
    shown = [
        {
            "run": results.label(row["run"]),
            "condition": row["condition"],
            "levels": row["levels"],
            "EM": f"{row['em']:.3f}",
            "EM of the baseline": f"{row['other_em']:.3f}",
            "difference": estimate(row),
            "p": f"{row['p']:.2g}",
            "p (Holm)": p_value(row),
            SIZE: sample(row),
            "seeds of the baseline": str(row["other_seeds"]),
        }
        for row in records(rows)
    ]
    return Table.of("differences", shown, records(rows))


def efficiency(results: Results) -> Table | None:
    """EM of each memory divided by EM(A) of the same model, and of each run without a memory."""
    found, shown = [], []
    memories = [run for run in results.runs if "B" in results.conditions(run)]
    for run in memories:
        for condition in RETENTION_RATIO[::-1]:
            for line, rows in _denominators(results, run, condition):
                found += rows
                levels = "1 and 2" if condition == "B" else DISTRACTOR_LEVEL
                memory = {"memory": f"EM({condition})", "levels": levels}
                shown.append({"run": results.label(run), **memory, **line})
    return Table.of("efficiency", shown, found)


def _denominators(results: Results, run: str, condition: str) -> list[tuple[dict, list]]:
    """The lines of one memory: against its own context, then against that of other runs."""
    fixed = {"run": run, **results.headline(run)}
    if condition == "D":
        fixed["level"] = DISTRACTOR_LEVEL
    metric = "em_compared" if condition == "B" else "em"
    ours, context = (results.one(metric, condition=c, **fixed) for c in (condition, "A"))
    ratio = results.one("memory_efficiency", **fixed)
    if ours is None or ratio is None:
        return []
    lines = [(_line("the same model", ours, context, ratio), [ours, context, ratio])]
    for other in results.references():
        row = results.comparison(EFFICIENCY, run, other, condition)
        if row is not None:
            em, other_em = ({"value": row[name], "low": None} for name in ("em", "other_em"))
            lines.append((_line(results.label(other), em, other_em, row), [row]))
    return lines


def _line(name: str, ours: pd.Series | dict, context: pd.Series | dict, ratio: pd.Series) -> dict:
    return {
        "EM of the memory": estimate(ours),
        "divided by EM(A) of": name,
        "EM(A)": estimate(context),
        "ratio": estimate(ratio),
        SIZE: sample(ratio),
    }


def p_value(row: pd.Series | dict | None) -> str:
    """The corrected p value of a comparison, as text."""
    return "–" if row is None else f"{row['p_corrected']:.2g}"
