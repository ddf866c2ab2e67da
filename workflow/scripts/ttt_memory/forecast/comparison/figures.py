"""Figures of the forecast study; each takes a `Study` and returns a figure, or None if empty.

A strategy has the same colour in all figures; baselines are grey.
"""

import math
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .results import Study

PANEL = (4.6, 3.0)  # inches
COLOURS = [
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#222255",
    "#AA3377",
    "#774411",
    "#BBAA33",
    "#66CCBB",
]
GREYS = ["#333333", "#777777", "#aaaaaa"]
BEST = 3  # strategies shown where a figure of all would not be readable
LAST = 80  # samples shown of a forecast series
BIN = 16  # positions averaged into one point of the error by position


def leaderboards(study: Study) -> Figure | None:
    """Test MSE with its interval over seeds; one panel per dataset, the best on top."""
    figure, panels = _panels(study, lambda name: 0.8 + 0.22 * len(_rows(study, name)))
    for axes, dataset in panels:
        rows = _rows(study, dataset)[::-1]
        places = np.arange(len(rows))
        for place, row in zip(places, rows, strict=True):
            colour = _colour(study, row["strategy"])
            # The axis is logarithmic, so an interval that reaches below zero is cut.
            low = max(row["low"], row["mse"] / 10)
            ends = [[row["mse"] - low], [row["high"] - row["mse"]]]
            axes.errorbar(
                row["mse"], place, xerr=np.nan_to_num(ends), fmt="o", color=colour, capsize=2
            )
            if row["low"] < low:
                axes.plot(low, place, "<", color=colour)  # marks the cut
        axes.set_yticks(places, [_label(row) for row in rows])
        without = [row["mse"] for row in rows if row["strategy"] == study.without_memory]
        for mse in without:
            axes.axvline(mse, color=GREYS[1], linestyle=":", linewidth=1)
        _log_scale(axes.xaxis)
        axes.tick_params(axis="x", which="both", labelsize=7)
        axes.grid(axis="x", color="#dddddd")
        axes.set_xlabel("test MSE (dotted: without memory)" if without else "test MSE")
        axes.set_title(dataset)
    return figure


def forecasts(study: Study) -> Figure | None:
    """The last samples of the first test series, with the forecasts of the best strategies."""
    figure, panels = _panels(study)
    for axes, dataset in panels:
        for number, strategy in enumerate(_shown(study, dataset)):
            rows = study.forecasts
            rows = rows[(rows["dataset"] == dataset) & (rows["strategy"] == strategy)]
            row = rows.iloc[0]
            position = row["first"] + np.arange(len(row["truth"]))
            if not number:
                axes.plot(position[-LAST:], row["truth"][-LAST:], ".", color="black", label="truth")
            axes.plot(
                position[-LAST:],
                row["forecast"][-LAST:],
                color=_colour(study, strategy),
                linewidth=1.2,
                label=strategy,
            )
        axes.set_xlabel("position in the series")
        axes.set_ylabel("value, normalised")
        axes.set_title(f"{dataset}: first test series")
    return _with_legend(figure)


def error_by_position(study: Study) -> Figure | None:
    """MSE by position, averaged over series, seeds and BIN neighbouring positions."""
    figure, panels = _panels(study)
    for axes, dataset in panels:
        for strategy in _shown(study, dataset, baselines=True):
            first, errors = study.errors(dataset, strategy)
            whole = len(errors) // BIN * BIN
            if not whole:
                continue
            means = np.nanmean(errors[:whole].reshape(-1, BIN), axis=1)
            position = first + np.arange(len(means)) * BIN + (BIN - 1) / 2
            style = {"color": _colour(study, strategy), "label": strategy}
            axes.plot(position, means, marker=".", linewidth=1.2, **style)
        _log_scale(axes.yaxis)
        axes.set_xlabel(f"position in the series (means of {BIN})")
        axes.set_ylabel("test MSE")
        axes.set_title(dataset)
    return _with_legend(figure)


def surprise_and_gates(study: Study) -> Figure | None:
    """Recall error and gates of the first layer over one series of the first dataset."""
    rows = study.traces
    if rows.empty:
        return None
    dataset = next(name for name in study.datasets if name in set(rows["dataset"]))
    rows = rows[(rows["dataset"] == dataset) & (rows["layer"] == 0)]
    rows = rows[rows["seed"] == rows["seed"].min()]
    figure = Figure(figsize=(2 * PANEL[0], 1.2 * PANEL[1]), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (strategy, quantity), part in rows.groupby(["strategy", "quantity"], sort=False):
        colour = _colour(study, strategy)
        if quantity == "recall_error":
            # Relative to the first chunk, because strategies scale their values differently.
            values = part["value"] / part["value"].iloc[0]
            left.plot(part["position"], values, color=colour, label=strategy, linewidth=1.2)
        elif part["value"].between(0, 1).all():
            style = "--" if part["position"].diff().max() > 1 else "-"
            right.plot(
                part["position"],
                part["value"],
                style,
                color=colour,
                label=f"{strategy} {quantity}",
                linewidth=1,
            )
    _log_scale(left.yaxis)
    left.set_title(f"{dataset}: recall error (MSE) before each write, first chunk = 1")
    right.set_title("gates between 0 and 1 (dashed: per chunk)")
    for axes in (left, right):
        axes.set_xlabel("position in the series")
        axes.set_visible(bool(axes.lines))
    left.set_ylabel("recall error, relative")
    right.set_ylabel("gate")
    right.set_ylim(-0.02, 1.02)
    return _with_legend(figure)


def cost_and_error(study: Study) -> Figure | None:
    """Test MSE against training time; one point per forecaster."""
    figure, panels = _panels(study)
    for axes, dataset in panels:
        rows = _rows(study, dataset)
        for row in rows:
            point = (max(row["epoch_seconds"], 1e-3), row["mse"])
            axes.plot(*point, "o", color=_colour(study, row["strategy"]))
            axes.annotate(_label(row), point, textcoords="offset points", xytext=(4, 3), fontsize=6)
        axes.set_xscale("log")
        _log_scale(axes.yaxis)
        axes.set_xlabel("training time, s per epoch")
        axes.set_ylabel("test MSE")
        axes.set_title(dataset)
        axes.margins(x=0.2)
    return figure


def training_curves(study: Study) -> Figure | None:
    """Validation MSE by epoch, averaged over seeds."""
    figure, panels = _panels(study)
    for axes, dataset in panels:
        rows = study.epochs[study.epochs["dataset"] == dataset]
        for strategy in study.ranking(dataset):
            means = rows[rows["strategy"] == strategy].groupby("epoch")["valid_mse"].mean()
            if len(means) > 1:
                style = {"color": _colour(study, strategy), "label": strategy}
                axes.plot(means.index, means.to_numpy(), linewidth=1.2, **style)
        _log_scale(axes.yaxis)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch")
        axes.set_ylabel("validation MSE")
        axes.set_title(dataset)
    return _with_legend(figure)


# In the order of the report, which adds the titles.
DRAWERS = {
    "forecast_leaderboard": leaderboards,
    "forecast_series": forecasts,
    "forecast_position": error_by_position,
    "forecast_traces": surprise_and_gates,
    "forecast_cost": cost_and_error,
    "forecast_training": training_curves,
}


def _panels(
    study: Study, height: Callable[[str], float] | None = None
) -> tuple[Figure | None, list[tuple[Axes, str]]]:
    """A figure with one panel per dataset; `height` gives a dataset's panel height in inches."""
    names = study.datasets
    if not names:
        return None, []
    columns = min(2, len(names))
    rows = math.ceil(len(names) / columns)
    tall = max([PANEL[1], *(height(name) for name in names)]) if height else PANEL[1]
    figure = Figure(figsize=(PANEL[0] * columns, tall * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    return figure, list(zip(grid, names, strict=False))


def _rows(study: Study, dataset: str) -> list[dict]:
    rows = study.leaderboard
    return rows[rows["dataset"] == dataset].to_dict("records")


def _label(row: dict) -> str:
    return row["strategy"] + (" (published protocol)" if row["protocol"] == "published" else "")


def _shown(study: Study, dataset: str, baselines: bool = False) -> list[str]:
    """The best strategies and the one without memory; with `baselines`, the two best of those."""
    ranked = study.ranking(dataset, "strategy")
    shown = ranked[:BEST] + [name for name in ranked[BEST:] if name == study.without_memory]
    return shown + (study.ranking(dataset, "baseline")[:2] if baselines else [])


def _colour(study: Study, strategy: str) -> str:
    rows = study.leaderboard.drop_duplicates("strategy")
    names = sorted(rows.loc[rows["kind"] == "strategy", "strategy"])
    if strategy == study.without_memory:
        return "black"
    if strategy in names:
        return COLOURS[names.index(strategy) % len(COLOURS)]
    others = sorted(set(rows["strategy"]) - set(names))
    return GREYS[others.index(strategy) % len(GREYS)]


def _log_scale(axis: mpl.axis.Axis) -> None:
    """Make an axis logarithmic, with plain numbers as labels."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    axis.set_major_formatter("{x:g}")
    low, high = sorted(axis.get_view_interval())
    axis.set_minor_locator(mpl.ticker.LogLocator(subs=(2, 3, 5) if high > 4 * low else "all"))
    axis.set_minor_formatter("{x:g}")


def _with_legend(figure: Figure | None) -> Figure | None:
    """The figure with one legend below all its panels."""
    if figure is None:
        return None
    found = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    if found:
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=4, fontsize=7)
    return figure
