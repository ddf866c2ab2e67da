"""Figures of training: the loss and the size of the write by training step."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...vocabulary import CONDITIONS
from ..results import Results
from ..summaries import losses_by_objective, of_seeds
from . import style

# The label and colour of each objective of a training curve.
OBJECTIVES = {
    "write_drop_read": (CONDITIONS["B"].title, style.CONDITION_COLOURS["B"]),
    "context": (CONDITIONS["A"].title, style.CONDITION_COLOURS["A"]),
    "empty": (CONDITIONS["C"].title, style.CONDITION_COLOURS["C"]),
    "lm": ("next token", style.DARK),
}
POINTS = 60  # of each curve, after taking medians


def training_loss(results: Results) -> Figure | None:
    """Loss by step and objective, one panel per run and one line per seed."""
    runs = _trained(results)
    if not runs:
        return None
    figure, grid = style.panels(len(runs))
    for axes, run in zip(grid, runs, strict=True):
        curve = losses_by_objective(results.curves[results.curves["run"] == run])
        for objective, part in curve.groupby("objective"):
            label, colour = OBJECTIVES.get(objective, (objective, "#777777"))
            for seed, (_, of_seed) in enumerate(part.groupby("seed")):
                axes.plot(
                    *_smooth(of_seed, "loss"),
                    color=colour,
                    linewidth=1.1,
                    label=None if seed else label,
                )
        style.log_axis(axes, curve["loss"])
        axes.set_xlabel("step")
        axes.set_ylabel("loss, nats per token")
        axes.set_title(f"{results.label(run)}, {of_seeds(curve['seed'].nunique())}")
    handles = {
        label: line
        for axes in grid
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower left", ncols=4)
    return figure


def inner_norm(results: Results) -> Figure | None:
    """||dW|| / ||W|| by training step, mean over layers, one line per run and seed."""
    curves = results.curves[results.curves["inner_norm"].notna()]
    runs = [run for run in _trained(results) if run in set(curves["run"])]
    if not runs:
        return None
    figure, (axes,) = style.panels(1, size=(6.2, 3.4))
    for run in runs:
        look = style.run_style(results.runs.index(run)) | {"marker": ""}
        for seed, (_, part) in enumerate(curves[curves["run"] == run].groupby("seed")):
            label = None if seed else results.label(run)
            axes.plot(*_smooth(part, "inner_norm"), **look, linewidth=1.1, label=label)
    axes.set_xlabel("step")
    axes.set_ylabel("||dW|| / ||W||, mean over layers")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower left", ncols=2)
    return figure


def _trained(results: Results) -> list[str]:
    return [run for run in results.runs if run in set(results.curves["run"])]


def _smooth(curve: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """The median step and value of each piece of a curve, in at most `POINTS` pieces."""
    curve = curve.sort_values("step")
    pieces = np.array_split(np.arange(len(curve)), min(POINTS, len(curve)))
    step, value = curve["step"].to_numpy(), curve[column].to_numpy()
    return tuple(np.array([np.median(of[piece]) for piece in pieces]) for of in (step, value))
