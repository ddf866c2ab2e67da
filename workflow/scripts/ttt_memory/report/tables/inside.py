"""Tables of gates, norms, training and the benchmark itself."""

import numpy as np

from ..figures.inside import over_seeds
from ..results import Results, losses_by_objective
from .common import Table, estimate, records


def segments(results: Results) -> Table | None:
    """Write gate of each layer and next-token loss, on facts, filler and distractor."""
    rows = over_seeds(results.diagnostics)
    rows = rows[rows["statistic"].isin(["gate", "next_token_loss"])]
    shown = []
    for (run, statistic, layer), part in rows.groupby(["run", "statistic", "layer"], sort=False):
        name = "next-token loss, nats" if statistic == "next_token_loss" else f"gate, layer {layer}"
        of_segment = part.set_index("segment")
        cells = {
            segment: estimate(of_segment.loc[segment] if segment in of_segment.index else None)
            for segment in ("fact", "filler", "distractor")
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
    """||dW|| / ||W|| of every layer after a dialogue and after distractor text."""
    rows = over_seeds(results.diagnostics)
    rows = rows[rows["statistic"] == "relative_norm"]
    shown = []
    for (run, layer), part in rows.groupby(["run", "layer"], sort=False):
        cells = {f"after {row['segment']}": estimate(row, 4) for _, row in part.iterrows()}
        shown.append({"run": results.label(run), "layer": str(layer), **cells})
    return Table.of("norms", shown, records(rows))


def training(results: Results) -> Table | None:
    """Length, cost and end of every training."""
    shown, found = [], []
    for (run, seed), curve in results.curves.groupby(["run", "seed"], sort=False):
        curve = curve.sort_values("step")
        last, tail = curve.iloc[-1], curve[curve["step"] > curve["step"].max() * 0.9]
        line = {
            "run": run,
            "seed": seed,
            "steps": curve["step"].nunique(),
            "tokens": int(last["tokens"]),
            "seconds": float(last["seconds"]),
            "inner_norm": float(tail["inner_norm"].mean()),
        }
        losses = losses_by_objective(tail).groupby("objective")["loss"].median()
        found.append(line | {f"loss_{name}": value for name, value in losses.items()})
        shown.append(
            {
                "run": results.label(run),
                "seed": str(seed),
                "steps": f"{line['steps']:,}",
                "tokens": f"{line['tokens']:,}",
                "minutes": f"{line['seconds'] / 60:.1f}",
                "loss at the end": ", ".join(f"{k} {v:.3f}" for k, v in losses.items()),
                "norm of dW/W at the end": "–"
                if np.isnan(line["inner_norm"])
                else f"{line['inner_norm']:.4f}",
            }
        )
    return Table.of("training", shown, found)


def benchmark(results: Results) -> Table | None:
    """Samples and probes by level, language and split."""
    samples = results.benchmark
    samples = samples.assign(probes=samples["probes"].map(len), facts=samples["facts"].map(len))
    rows = samples.groupby(["level", "language", "split"], sort=False).agg(
        samples=("sample_id", "size"), facts=("facts", "sum"), probes=("probes", "sum")
    )
    return Table.of(
        "benchmark", records(rows.reset_index().astype(str)), records(rows.reset_index())
    )
