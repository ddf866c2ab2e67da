"""The table of training runs."""

import numpy as np

from ..results import Results
from ..summaries import losses_by_objective
from .table import Table


def training(results: Results) -> Table | None:
    """Steps, tokens, minutes, and the loss and size of the write at the end of each training."""
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
