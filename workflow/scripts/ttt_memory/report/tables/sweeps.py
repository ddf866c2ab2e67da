"""Tables of the distractor and of the sweeps."""

from ...vocabulary import DISTRACTOR_LEVEL, WITH_DISTRACTOR
from ..results import Results
from .table import Table, estimate, records, sample


def distractor(results: Results) -> Table | None:
    """EM on level 3, and the retention ratio EM(D)/EM(B)."""
    found, shown = [], []
    for run in results.runs:
        fixed = {"run": run, **results.headline(run)}
        ratio = results.one("retention_ratio", **fixed)
        if ratio is None:
            continue
        fixed["level"] = DISTRACTOR_LEVEL
        rows = {c: results.one("em", condition=c, **fixed) for c in WITH_DISTRACTOR}
        line = {c: estimate(row) for c, row in rows.items()}
        shown.append(
            {
                "run": results.label(run),
                **line,
                "EM(D)/EM(B)": estimate(ratio),
                "probes / dialogues / skeletons / seeds": sample(ratio),
            }
        )
        found += [*rows.values(), ratio]
    return Table.of("distractor", shown, found)


def sweep(results: Results, condition: str, ratio: str | None = None) -> Table | None:
    """EM of every run, one column per setting of a sweep; on a second line the metric `ratio`."""
    found, shown = [], []
    for run in results.runs:
        for name, metric in (("EM", "em"), (str(ratio).replace("_", " "), ratio)):
            rows = results.rows(metric, by=["setting"], condition=condition, run=run)
            if rows.empty:
                continue
            found += records(rows)
            cells = {f"{row['setting']:g}": estimate(row) for _, row in rows.iterrows()}
            largest = sample(rows.sort_values("n").iloc[-1])
            line = {
                "run": results.label(run),
                "measure": name,
                "probes / dialogues / skeletons / seeds": largest,
            }
            shown.append(line | cells)
    table = Table.of(condition, shown, found)
    if table is None:
        return None
    fixed = ["run", "measure", "probes / dialogues / skeletons / seeds"]
    settings = sorted(set(table.shown.columns) - set(fixed), key=float)
    return Table(condition, table.shown[[*fixed[:2], *settings, fixed[2]]], table.rows)


def capacity_order(results: Results) -> Table | None:
    """EM by the place of the dialogue in the order of writing, and the last minus the first."""
    rows = results.rows("em", by=["setting", "order"], condition="capacity")
    ends = results.rows("em_difference:last-first", by=["setting"], condition="capacity")
    found, shown = [], []
    for run in results.runs:
        for setting, part in rows[rows["run"] == run].groupby("setting"):
            part = part.assign(place=part["order"].astype(int)).sort_values("place")
            if len(part) < 2:
                continue
            last = ends[(ends["run"] == run) & (ends["setting"] == setting)]
            shown.append(
                {
                    "run": results.label(run),
                    "dialogues": f"{setting:g}",
                    "EM from the first to the last written": ", ".join(
                        f"{value:.3f}" for value in part["value"]
                    ),
                    "last minus first": estimate(last.iloc[0] if len(last) else None),
                }
            )
            found += [*records(part.drop(columns="place")), *records(last)]
    return Table.of("capacity_order", shown, found)
