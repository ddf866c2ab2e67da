"""Figures of the alternatives: EM against bytes kept, and against FLOPs of an answer."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..equal_bytes import COMPACTED, CONTEXT, LABELS, MEMORY, ORDER, TEXT, points, shown_run
from ..results import Results
from ..summaries import of_seeds, sample_size
from . import style

# The memory and the context have their colours of every figure, the others those of runs.
_COLOURS = {
    COMPACTED: style.CONDITION_COLOURS[MEMORY],
    MEMORY: style.CONDITION_COLOURS[MEMORY],
    CONTEXT: style.CONDITION_COLOURS[CONTEXT],
    TEXT: style.CONDITION_COLOURS[CONTEXT],
}
_MARKERS = {MEMORY: "*", CONTEXT: "P", TEXT: "X"}


def em_by_bytes(results: Results) -> Figure | None:
    """EM against bytes kept of a dialogue, a line a method, a panel a distance."""
    return _by(results, "state_bytes", "bytes kept (log)")


def em_by_flops(results: Results) -> Figure | None:
    """EM against FLOPs of one answer, a line a method, a panel a distance."""
    return _by(results, "answer_flops", "FLOPs of an answer (log)")


def _by(results: Results, column: str, label: str) -> Figure | None:
    run = shown_run(results)
    if run is None:
        return None
    found = points(results, run)
    distances = sorted(found["distance"].unique())
    figure, grid = style.panels(len(distances), 3, (3.8, 3.4))
    for axes, distance in zip(grid, distances, strict=True):
        here = found[found["distance"] == distance]
        for place, method in enumerate(ORDER):
            _draw(axes, here[here["method"] == method], column, method, place)
        axes.set_xscale("log")
        axes.set_xlabel(label)
        after = f"after {distance:,} distractor tokens" if distance else "right after the dialogue"
        axes.set_title(f"{after}\n{sample_size(here)} a point")
        style.share_axis(axes, highest=found["high"].max())
    handles = {}
    for axes in grid:
        drawn, names = axes.get_legend_handles_labels()
        handles |= dict(zip(names, drawn, strict=True))
    title = f"{results.label(run)}, {of_seeds(found['seeds'].max())}"
    figure.legend(handles.values(), handles, loc="outside lower left", ncols=3, title=title)
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, column: str, method: str, place: int) -> None:
    rows = rows[rows[column] > 0].sort_values(column)
    if rows.empty:
        return
    look = style.run_style(place)
    look["color"] = _COLOURS.get(method, look["color"])
    look["marker"] = _MARKERS.get(method, look["marker"])
    if method in _MARKERS:
        look |= {"linestyle": "none", "markersize": 9}
    # Of one size, the settings differ in what they answer only: no line would say anything.
    elif rows[column].nunique() == 1:
        look["linestyle"] = "none"
    name = method if method not in (COMPACTED, MEMORY) else MEMORY
    axes.errorbar(
        rows[column],
        rows["value"],
        yerr=style.errors(rows),
        capsize=2,
        label=f"{name}: {LABELS[method]}",
        **look,
    )
