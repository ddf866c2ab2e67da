"""Figures of the diagnostics: write gates and surprise, and the size of the fast weights."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...vocabulary import SEGMENTS
from ..results import Results
from ..summaries import over_seeds
from . import style


def gates(results: Results) -> Figure | None:
    """Next-token loss of each segment in every run, and the gates of the runs that have them."""
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
    """||dW|| / ||W|| of each layer after a dialogue and after distractor text, by run."""
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
                color=style.SEGMENT_COLOURS.get(segment, style.DARK),
                label=f"after {segment}",
            )
        style.log_axis(axes, part["value"])
        axes.set_xticks(sorted(set(part["layer"])))
        axes.set_xlabel("layer")
        axes.set_ylabel("||dW|| / ||W||")
        axes.set_title(f"{results.label(run)}\nn = {part['n'].max()} dialogues")
    grid[0].legend()
    return figure


def _points(axes: Axes, rows: pd.DataFrame, look: dict, label: str, offset: float) -> None:
    """Draw one marker per segment, without a line, since segments have no order."""
    rows = rows.set_index("segment").reindex(list(SEGMENTS))
    x = np.arange(len(SEGMENTS)) + offset
    look = look | {"linestyle": "none"}
    axes.errorbar(x, rows["value"], style.errors(rows), capsize=2, label=label, **look)
    axes.set_xticks(range(len(SEGMENTS)), list(SEGMENTS))


def _offsets(count: int) -> np.ndarray:
    return (np.arange(count) - (count - 1) / 2) * min(0.12, 0.7 / max(count, 1))
