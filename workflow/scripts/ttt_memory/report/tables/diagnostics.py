"""Tables of the diagnostics: write gates and surprise, and the size of the fast weights."""

from ...vocabulary import SEGMENTS
from ..results import Results
from ..summaries import over_seeds
from .table import Table, estimate, records


def segments(results: Results) -> Table | None:
    """Gate of each layer and next-token loss, averaged over each segment."""
    rows = over_seeds(results.diagnostics)
    rows = rows[rows["statistic"].isin(["gate", "next_token_loss"])]
    shown = []
    for (run, statistic, layer), part in rows.groupby(["run", "statistic", "layer"], sort=False):
        name = "next-token loss, nats" if statistic == "next_token_loss" else f"gate, layer {layer}"
        of_segment = part.set_index("segment")
        cells = {
            segment: estimate(of_segment.loc[segment] if segment in of_segment.index else None)
            for segment in SEGMENTS
        }
        shown.append(
            {
                "run": results.label(run),
                "statistic": name,
                **cells,
                "dialogues": str(part["n"].max()),
            }
        )
    return Table.of("gates", shown, records(rows))


def norms(results: Results) -> Table | None:
    """||dW|| / ||W|| of each layer after a dialogue and after distractor text."""
    rows = over_seeds(results.diagnostics)
    rows = rows[rows["statistic"] == "relative_norm"]
    shown = []
    for (run, layer), part in rows.groupby(["run", "layer"], sort=False):
        cells = {f"after {row['segment']}": estimate(row, 4) for _, row in part.iterrows()}
        shown.append({"run": results.label(run), "layer": str(layer), **cells})
    return Table.of("norms", shown, records(rows))
