"""Tables of EM: verdict, conditions, breakdowns, splits, paired tests, attribution and seeds."""

from collections.abc import Sequence
from itertools import product

from ...vocabulary import COMPARED, CONDITIONS, GROUNDINGS, PAIRS, REFUSING, SPLITS
from ..results import Results
from .table import Table, estimate, keyed, records, sample


def headline(results: Results) -> Table | None:
    """EM(A), EM(B) and their ratio: the verdict's split, then the other splits and all probes."""
    found, shown = [], []
    for run in results.runs:
        headline = results.headline(run)
        others = [{"split": split} for split in SPLITS]
        for subset in [headline, *(one for one in (*others, {}) if one != headline)]:
            fixed = {"run": run, **subset}
            ratio = results.one("memory_efficiency", **fixed)
            if ratio is None:
                continue
            ems = [results.one("em_compared", condition=c, **fixed) for c in COMPARED]
            found += [*ems, ratio]
            shown.append(
                {
                    "run": results.label(run),
                    "probes": SPLITS.get(subset.get("split"), "all probes"),
                    "EM(A)": estimate(ems[0]),
                    "EM(B)": estimate(ems[1]),
                    "EM(B)/EM(A)": estimate(ratio),
                    "verdict": results.verdict(run) if subset == headline else "",
                    "probes / dialogues / skeletons / seeds": sample(ratio),
                }
            )
    return Table.of("headline", shown, found)


def main_run_by_split(results: Results) -> Table | None:
    """EM of A, B, C and W of the main run by split: the numbers of the first figure."""
    found, shown = [], []
    run = results.main_run()
    for name, rows in results.by_split(run).items() if run else ():
        found += rows.values()
        cells = {c: estimate(rows.get(c)) for c in (*COMPARED, *REFUSING)}
        size = max(row["n"] for row in rows.values())
        shown.append({"new to the model": name, "questions": f"{size:,}", **cells})
    return Table.of("em_by_split", shown, found)


def conditions(results: Results, metric: str = "em") -> Table | None:
    """One metric of every run and condition, on the split of the verdict.

    Beside `em` stand the guessing floor and, in a line of its own, the share of refusals.
    """
    found, shown = [], []
    for run in results.runs:
        fixed = {"run": run, **results.headline(run)}
        line = {"run": results.label(run), "measure": metric}
        for condition in CONDITIONS:
            row = results.one(metric, condition=condition, **fixed)
            line[condition] = estimate(row)
            found.append(row)
        sizes = (
            results.one(metric, condition="B", **fixed),
            results.one(metric, condition="D", **fixed),
        )
        line["n (D)"] = " ".join(
            f"{row['n']:,}" if place == 0 else f"({row['n']:,})"
            for place, row in enumerate(sizes)
            if row is not None
        )
        if metric == "em":
            floors = [results.one(name, **fixed) for name in ("em_floor_others", "em_floor")]
            found += floors
            line["guessing floor"] = "{:.3f} [at most {:.3f}]".format(
                *(row["value"] for row in floors)
            )
        shown.append(line)
        if metric == "em":
            rows = {c: results.one("refused", condition=c, **fixed) for c in CONDITIONS}
            found += rows.values()
            refused = {c: estimate(row) for c, row in rows.items()}
            shown.append({"run": results.label(run), "measure": "refused", **refused})
    return Table.of(f"conditions_{metric}", shown, found)


def breakdown(results: Results, column: str, order: Sequence[str] = ()) -> Table | None:
    """EM of every condition, one line per run and value of `column`, in the given order."""
    rows = results.rows("em", by=[column])
    rows = rows[rows["condition"].isin(CONDITIONS)]
    found = keyed(rows, ["run", column, "condition"])
    ratios = keyed(results.rows("memory_efficiency", by=[column]), ["run", column])
    present = set(rows[column])
    shown = []
    for run in results.runs:
        for value in [value for value in order if value in present] or sorted(present):
            cells = {c: found[run, value, c] for c in CONDITIONS if (run, value, c) in found}
            if not cells:
                continue
            line = {"run": results.label(run), column.replace("_", " "): value}
            line["n"] = f"{max(row['n'] for row in cells.values()):,}"
            # At level 3, D has written the distractor that A has in its context.
            title = "EM(B or D)/EM(A)" if column == "level" else "EM(B)/EM(A)"
            line[title] = estimate(ratios.get((run, value)))
            shown.append(line | {c: estimate(cells.get(c)) for c in CONDITIONS})
    return Table.of(f"em_by_{column}", shown, [*found.values(), *ratios.values()])


def floors(results: Results) -> Table | None:
    """Guessing floors by kind of question, and EM of the baseline run beside them."""
    run = results.report.baseline
    run = run if run in results.runs else results.runs[0]
    rows = {
        metric: results.rows(metric, by=["kind"], run=run).set_index("kind")
        for metric in ("em_floor_others", "em_floor")
    }
    ems = results.rows("em", by=["kind"], run=run)
    found, shown = [], []
    for kind, floor in rows["em_floor"].iterrows():
        of_kind = ems[ems["kind"] == kind].set_index("condition")
        line = {"kind of question": kind, "n": f"{floor['n']:,}"}
        line["guessing floor"] = estimate(rows["em_floor_others"].loc[kind])
        line["at most"] = estimate(floor)
        line |= {c: estimate(of_kind.loc[c]) for c in CONDITIONS if c in of_kind.index}
        shown.append(line)
    for table in (*rows.values(), ems):
        found += records(table.reset_index(drop=table is ems))
    return Table.of("floors", shown, found)


def splits(results: Results, runs: Sequence[str], level: str | None = None) -> Table | None:
    """EM(A), EM(B) and their ratio by split and grounding, on one level or on both."""
    by = ["split", "grounding"]
    fixed = {"level": level} if level else {}
    key = ["run", *by]
    measures = {
        "EM(A)": keyed(results.rows("em_compared", by=by, condition="A", **fixed), key),
        "EM(B)": keyed(results.rows("em_compared", by=by, condition="B", **fixed), key),
        "EM(B)/EM(A)": keyed(results.rows("memory_efficiency", by=by, **fixed), key),
    }
    found, shown = [], []
    for place in product(runs, SPLITS, GROUNDINGS):
        cells = {name: rows.get(place) for name, rows in measures.items()}
        if cells["EM(B)/EM(A)"] is None:
            continue
        found += cells.values()
        run, split, grounding = place
        line = {"run": results.label(run), "split": SPLITS[split]}
        line["question and fact"] = GROUNDINGS[grounding]
        line |= {name: estimate(row) for name, row in cells.items()}
        shown.append(
            line | {"probes / dialogues / skeletons / seeds": sample(cells["EM(B)/EM(A)"])}
        )
    name = f"splits_level_{level}" if level else "splits"
    return Table.of(name if len(runs) == len(results.runs) else f"{name}_regimes", shown, found)


def paired_tests(results: Results) -> Table | None:
    """Differences of EM with their intervals, and the p values of the sign-flip test."""
    found, shown = [], []
    for run in results.runs:
        for (first, second), meaning in PAIRS.items():
            fixed = {"run": run, **results.headline(run)}
            difference = results.one(f"em_difference:{first}-{second}", **fixed)
            p_value = results.one(f"p_value:{first}-{second}", **fixed)
            if difference is None or p_value is None:
                continue
            found += [difference, p_value]
            shown.append(
                {
                    "run": results.label(run),
                    "pair": f"{first} − {second}",
                    "meaning": meaning,
                    "difference of EM": estimate(difference),
                    "p": f"{p_value['value']:.2g}",
                    "probes / dialogues / skeletons / seeds": sample(difference),
                }
            )
    return Table.of("paired_tests", shown, found)


def seeds(results: Results) -> Table | None:
    """EM(A), EM(B) and their ratio for each single training seed, on the verdict's split."""
    shown, found = [], []
    for run in results.runs:
        ratios = results.metrics
        ratios = ratios[(ratios["run"] == run) & (ratios["metric"] == "memory_efficiency")]
        names = sorted(set(ratios["seed"]) - {"all"}, key=int)
        for seed in names if len(names) > 1 else []:
            fixed = {"run": run, "seed": seed, **results.headline(run)}
            rows = [results.one("em_compared", condition=c, **fixed) for c in COMPARED]
            rows.append(results.one("memory_efficiency", **fixed))
            found += rows
            titles = ("EM(A)", "EM(B)", "EM(B)/EM(A)")
            line = {title: estimate(row) for title, row in zip(titles, rows, strict=True)}
            shown.append({"run": results.label(run), "seed": seed, **line})
    return Table.of("seeds", shown, found)
