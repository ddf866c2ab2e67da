"""Figures of the sweeps: retention, scale and capacity."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...vocabulary import SWEEPS
from ..results import Results
from ..summaries import of_seeds, sample_size
from . import style


def retention(results: Results) -> Figure | None:
    """EM(B) after distractor text of each length, one line per run."""
    rows = results.rows("em", by=["setting"], condition="retention")
    settings = sorted(rows["setting"].unique())
    # Lengths go from 0 to thousands, so they are drawn at equal distances, in order.
    figure = _lines(
        results,
        rows.assign(setting=rows["setting"].map(settings.index)),
        f"{SWEEPS['retention'].setting_label} (not to scale)",
    )
    if figure:
        figure.axes[0].set_xticks(range(len(settings)), [f"{tokens:,.0f}" for tokens in settings])
    return figure


def scale(results: Results) -> Figure | None:
    """EM(B) with the fast weights multiplied by each factor, one line per run."""
    rows = results.rows("em", by=["setting"], condition="scale")
    return _lines(results, rows, SWEEPS["scale"].setting_label)


def capacity(results: Results) -> Figure | None:
    """EM over all dialogues of one state by their number, and by the order of writing."""
    overall = results.rows("em", by=["setting"], condition="capacity")
    if overall.empty:
        return None
    figure, (left, right) = style.panels(2, 2, (4.6, 3.4))
    context = results.rows("em", by=["setting"], condition="capacity_context")
    counts = sorted(overall["setting"].unique())
    for place, run in enumerate(results.runs):
        part = overall[overall["run"] == run]
        if part.empty:
            continue
        look = style.run_style(place)
        _line(left, part, "setting", **look, label=_label(results, run, part))
        kept = context[context["run"] == run].sort_values("setting")
        left.plot(kept["setting"], kept["value"], color=look["color"], linestyle=":", linewidth=1)
        orders = results.rows("em", by=["setting", "order"], condition="capacity", run=run)
        orders = orders[orders["setting"] == max(counts)]
        orders = orders.assign(
            place=orders["order"].astype(int) - orders["order"].astype(int).min() + 1
        )
        _line(right, orders, "place", **look)
    left.set_xscale("log", base=2)
    left.set_xticks(counts, [f"{count:.0f}" for count in counts])
    left.set_xlabel(SWEEPS["capacity"].setting_label)
    note = "\ndotted: all of them in context (A)" if len(context) else ""
    left.set_title(f"{sample_size(overall)} a point{note}")
    right.set_xlabel(f"place among the {max(counts):.0f} dialogues of a state")
    right.xaxis.get_major_locator().set_params(integer=True)
    right.set_title("by the order of writing")
    for axes in (left, right):
        style.share_axis(axes)
    figure.legend(loc="outside lower left", ncols=2)
    return figure


def _lines(results: Results, rows: pd.DataFrame, label: str) -> Figure | None:
    if rows.empty:
        return None
    figure, (axes,) = style.panels(1, size=(6.2, 3.6))
    for place, run in enumerate(results.runs):
        part = rows[rows["run"] == run]
        if len(part):
            _line(axes, part, "setting", **style.run_style(place), label=_label(results, run, part))
    axes.set_xlabel(label)
    style.share_axis(axes)
    axes.set_title(f"{sample_size(rows)} a point")
    figure.legend(loc="outside lower left", ncols=2)
    return figure


def _line(axes: Axes, rows: pd.DataFrame, column: str, **look) -> None:
    """Draw values with their intervals, in the order of `column`."""
    rows = rows.sort_values(column)
    x = rows[column].to_numpy(np.float64)
    axes.errorbar(x, rows["value"], yerr=style.errors(rows), capsize=2, **look)


def _label(results: Results, run: str, rows: pd.DataFrame) -> str:
    return f"{results.label(run)}, {of_seeds(rows['seeds'].max())}"
