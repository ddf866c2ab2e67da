"""Figures of what happens inside: gates and surprise, norms by layer, training curves."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..results import Results, losses_by_objective
from . import style

SEGMENTS = ["fact", "filler", "distractor"]
OBJECTIVES = {
    "write_drop_read": ("B: read from fast weights", style.CONDITION_COLOURS["B"]),
    "context": ("A: dialogue in context", style.CONDITION_COLOURS["A"]),
    "empty": ("C: nothing", style.CONDITION_COLOURS["C"]),
    "lm": ("next token", "#222255"),
}
SMOOTHED = 60  # points left of a curve after taking medians


def over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Diagnostics of a run averaged over its seeds.

    The interval reaches from the lowest to the highest end of any seed's, which is wider than
    an interval of the mean; `n` is the dialogues of one seed.
    """
    groups = rows.groupby(["run", "statistic", "layer", "segment"], sort=False)
    return groups.agg(
        value=("value", "mean"),
        low=("low", "min"),
        high=("high", "max"),
        n=("n", "max"),
        seeds=("seed", "nunique"),
    ).reset_index()


def gates(results: Results) -> Figure | None:
    """Next-token loss by segment for every run and, for gated ones, the gate of each layer."""
    rows = over_seeds(results.diagnostics)
    loss = rows[rows["statistic"] == "next_token_loss"]
    gate = rows[rows["statistic"] == "gate"]
    gated = [run for run in results.runs if run in set(gate["run"])]
    if loss.empty and not gated:
        return None
    figure, grid = style.panels(1 + len(gated), 3, (3.9, 3.1))
    measured = [run for run in results.runs if run in set(loss["run"])]
    for offset, run in zip(_offsets(len(measured)), measured, strict=True):
        look = style.run_style(results.runs.index(run))
        _points(grid[0], loss[loss["run"] == run], look, results.label(run), offset)
    grid[0].set_ylim(bottom=0)
    grid[0].set_ylabel("next-token loss, nats (surprise)")
    grid[0].set_title(f"memory off, n = {loss['n'].max()} dialogues")
    for axes, run in zip(grid[1:], gated, strict=True):
        part = gate[gate["run"] == run]
        layers = sorted(part["layer"].unique())
        shades = mpl.colormaps["cividis"](np.linspace(0, 0.85, len(layers)))
        for place, (offset, layer) in enumerate(zip(_offsets(len(layers)), layers, strict=True)):
            look = style.run_style(place) | {"color": shades[place]}
            _points(axes, part[part["layer"] == layer], look, f"layer {layer}", offset)
        style.share_axis(axes, "write gate (0 closed, 1 open)")
        axes.set_title(f"{results.label(run)}, n = {part['n'].max()} dialogues")
        axes.legend()
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


def norms(results: Results) -> Figure | None:
    """||dW|| / ||W|| of each layer after a dialogue and after distractor text, a panel a run."""
    rows = over_seeds(results.diagnostics)
    rows = rows[rows["statistic"] == "relative_norm"]
    runs = [run for run in results.runs if run in set(rows["run"])]
    if not runs:
        return None
    figure, grid = style.panels(len(runs))
    for axes, run in zip(grid, runs, strict=True):
        part = rows[rows["run"] == run]
        for marker, (segment, of_segment) in zip("oD^s", part.groupby("segment"), strict=False):
            of_segment = of_segment.sort_values("layer")
            axes.errorbar(
                of_segment["layer"],
                of_segment["value"],
                yerr=style.errors(of_segment),
                marker=marker,
                capsize=2,
                color=style.SEGMENT_COLOURS.get(segment, "#222255"),
                label=f"after {segment}",
            )
        style.log_axis(axes, part["value"])
        axes.set_xticks(sorted(set(part["layer"])))
        axes.set_xlabel("layer")
        axes.set_ylabel("||dW|| / ||W||")
        axes.set_title(f"{results.label(run)}\nn = {part['n'].max()} dialogues")
    grid[0].legend()
    return figure


def training_loss(results: Results) -> Figure | None:
    """Loss by step and objective, a panel a run, a line a seed."""
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
        axes.set_title(f"{results.label(run)}, {style.of_seeds(curve['seed'].nunique())}")
    handles = {
        label: line
        for axes in grid
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower left", ncols=4)
    return figure


def inner_norm(results: Results) -> Figure | None:
    """Mean ||dW|| / ||W|| over layers by training step, a line a run and seed."""
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


def _points(axes: Axes, rows: pd.DataFrame, look: dict, label: str, offset: float) -> None:
    """One marker a segment; series stand side by side, since segments have no order."""
    rows = rows.set_index("segment").reindex(SEGMENTS)
    x = np.arange(len(SEGMENTS)) + offset
    look = look | {"linestyle": "none"}
    axes.errorbar(x, rows["value"], style.errors(rows), capsize=2, label=label, **look)
    axes.set_xticks(range(len(SEGMENTS)), SEGMENTS)


def _offsets(count: int) -> np.ndarray:
    return (np.arange(count) - (count - 1) / 2) * min(0.12, 0.7 / max(count, 1))


def _trained(results: Results) -> list[str]:
    return [run for run in results.runs if run in set(results.curves["run"])]


def _smooth(curve: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Median step and value of consecutive pieces of a curve: robust, and light to draw."""
    curve = curve.sort_values("step")
    pieces = np.array_split(np.arange(len(curve)), min(SMOOTHED, len(curve)))
    step, value = curve["step"].to_numpy(), curve[column].to_numpy()
    return tuple(np.array([np.median(of[piece]) for piece in pieces]) for of in (step, value))
