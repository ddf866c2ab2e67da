"""The look of all figures: colours, markers, panels and error bars.

In every figure a condition has the same colour and hatch, and a run the same colour and marker.
The colours of conditions are those of Okabe and Ito, which people with any colour vision can tell
apart.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...vocabulary import CONDITIONS, SEGMENTS

# By place in the list of conditions. The last two are free for new conditions.
_COLOURS = ["#0072B2", "#D55E00", "#999999", "#CC79A7", "#009E73", "#E69F00", "#56B4E9", "#F0E442"]
_HATCHES = ["", "", "....", "////", "xxxx", "\\\\\\\\", "oooo", "++++"]
CONDITION_COLOURS = dict(zip(CONDITIONS, _COLOURS, strict=False))
CONDITION_HATCHES = dict(zip(CONDITIONS, _HATCHES, strict=False))
CONDITION_MARKERS = dict(zip(CONDITIONS, "os^DvPX*", strict=False))
DARK = "#222255"
# Runs differ in lightness as well as in hue.
RUN_COLOURS = [
    DARK,
    "#AA3377",
    "#228833",
    "#88AACC",
    "#BBAA33",
    "#774411",
    "#66CCBB",
    "#777777",
]
RUN_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
SEGMENT_COLOURS = dict(zip(SEGMENTS, [DARK, "#88AACC", "#CC79A7"], strict=True))

_SETTINGS = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "hatch.linewidth": 0.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # The same numbers give the same bytes.
    "svg.hashsalt": "ttt_memory",
}
PANEL = (3.6, 2.7)  # inches


@contextmanager
def look() -> Iterator[None]:
    """Draw with the report's settings alone."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def panels(
    count: int, columns: int = 3, size: tuple[float, float] = PANEL, **share: bool
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels of `size` inches, in even rows of at most `columns`."""
    rows = math.ceil(count / columns)
    columns = math.ceil(count / rows)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **share).ravel()
    for axes in grid[count:]:
        axes.set_visible(False)
    return figure, list(grid[:count])


def run_style(place: int) -> dict:
    """Colour, marker and line style of the run at a place in the list of runs."""
    return {
        "color": RUN_COLOURS[place % len(RUN_COLOURS)],
        "marker": RUN_MARKERS[place % len(RUN_MARKERS)],
        # The ninth run has the first colour again, with a dashed line.
        "linestyle": ["-", "--", ":"][place // len(RUN_COLOURS) % 3],
    }


def errors(rows: pd.DataFrame) -> np.ndarray:
    """[2, rows]: distances from the value to both ends of its interval, for `errorbar`."""
    value = rows["value"].to_numpy()
    ends = np.stack([value - rows["low"].to_numpy(), rows["high"].to_numpy() - value])
    return np.nan_to_num(np.clip(ends, 0, None))


def share_axis(axes: Axes, label: str | None = None, highest: float = 1.0) -> None:
    """Make the vertical axis go from 0 to 1, with room for the caps of error bars.

    It ends sooner if the `highest` number of all panels is below a half. Without a `label` it is
    the axis of EM and has its name in the leftmost panel only.
    """
    if highest < 0.5:
        axes.set_ylim(-0.02 * highest, 1.1 * max(highest, 0.1))
    else:
        axes.set_ylim(-0.02, 1.04)
        axes.set_yticks(np.linspace(0, 1, 6))
    if label or axes.get_subplotspec().is_first_col():
        axes.set_ylabel(label or "EM (strict)")


def log_axis(axes: Axes, values: pd.Series) -> None:
    """Make the vertical axis logarithmic with plain numbers, unless a value is not positive."""
    values = values.dropna()
    if (values <= 0).any():
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(mpl.ticker.NullLocator())


def bars(axes: Axes, groups: Sequence[str], series: dict[str, pd.DataFrame], column: str) -> None:
    """Draw bars with intervals, grouped. `series` has a frame by condition, one row per group."""
    width = 0.84 / max(len(series), 1)
    for place, (condition, rows) in enumerate(series.items()):
        rows = rows.set_index(column).reindex(groups)
        x = np.arange(len(groups)) + (place - (len(series) - 1) / 2) * width
        shown = rows["value"].notna().to_numpy()
        axes.bar(
            x[shown],
            rows["value"][shown],
            width * 0.92,
            color=CONDITION_COLOURS[condition],
            hatch=CONDITION_HATCHES[condition],
            edgecolor="white",
            linewidth=0,
        )
        axes.errorbar(
            x[shown],
            rows["value"][shown],
            yerr=errors(rows[shown]),
            fmt="none",
            ecolor="black",
            elinewidth=0.9,
            capsize=2,
        )
    axes.set_xticks(np.arange(len(groups)), groups)


def absent(text: str) -> Figure:
    """A figure that holds only `text`: why there is nothing to draw."""
    figure = Figure(figsize=(5, 0.8), layout="constrained")
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#555555")
    return figure


def legend(
    figure: Figure, conditions: Sequence[str], columns: int = 3, more: Sequence[Artist] = ()
) -> None:
    """Put the colours and titles of the conditions, and any `more` handles, below all panels."""
    handles = [
        mpl.patches.Patch(
            facecolor=CONDITION_COLOURS[name],
            hatch=CONDITION_HATCHES[name],
            edgecolor="white",
            linewidth=0,
            label=CONDITIONS[name].title,
        )
        for name in conditions
    ]
    figure.legend(handles=[*handles, *more], loc="outside lower left", ncols=columns)
