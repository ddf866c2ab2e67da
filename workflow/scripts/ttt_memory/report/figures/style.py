"""One look for all figures: colours, marks, panels and error bars.

Colours are those of Okabe and Ito (told apart with any colour vision); a condition has one
colour and one hatch in every figure, a run one colour and one marker.
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

CONDITION_COLOURS = {
    "A": "#0072B2",
    "B": "#D55E00",
    "C": "#999999",
    "D": "#CC79A7",
    "W": "#009E73",
    "N": "#E69F00",
}
CONDITION_HATCHES = {"A": "", "B": "", "C": "....", "D": "////", "W": "xxxx", "N": "\\\\\\\\"}
CONDITION_NAMES = {
    "A": "A: dialogue in context",
    "B": "B: fast weights only",
    "C": "C: nothing",
    "D": "D: fast weights, then distractor",
    "W": "W: another dialogue's fast weights",
    "N": "N: noise of equal norm",
}
# Runs are told apart by lightness as well as hue, and never by a condition's colour alone.
RUN_COLOURS = [
    "#222255",
    "#AA3377",
    "#228833",
    "#88AACC",
    "#BBAA33",
    "#774411",
    "#66CCBB",
    "#777777",
]
RUN_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
SEGMENT_COLOURS = {"fact": "#222255", "filler": "#88AACC", "distractor": "#CC79A7"}

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
    """Draw with the report's settings and no others."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def panels(
    count: int, columns: int = 3, size: tuple[float, float] = PANEL, **share: bool
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels in rows of at most `columns`, as even as they can be."""
    rows = math.ceil(count / columns)
    columns = math.ceil(count / rows)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **share).ravel()
    for axes in grid[count:]:
        axes.set_visible(False)
    return figure, list(grid[:count])


def run_style(place: int) -> dict:
    """Colour and marker of the run at a place of the list of runs."""
    return {
        "color": RUN_COLOURS[place % len(RUN_COLOURS)],
        "marker": RUN_MARKERS[place % len(RUN_MARKERS)],
        # A ninth run repeats the first colour with a dashed line.
        "linestyle": ["-", "--", ":"][place // len(RUN_COLOURS) % 3],
    }


def errors(rows: pd.DataFrame) -> np.ndarray:
    """Distances from value to the ends of the interval, [2, rows], for `errorbar`."""
    value = rows["value"].to_numpy()
    ends = np.stack([value - rows["low"].to_numpy(), rows["high"].to_numpy() - value])
    return np.nan_to_num(np.clip(ends, 0, None))


def sample_size(rows: pd.DataFrame) -> str:
    """How many probes and dialogues stand behind each of `rows`: the largest of each."""
    sign = "=" if rows["n"].nunique() == 1 else "≤"
    return f"n {sign} {rows['n'].max():,} probes, {rows['dialogues'].max():,} dialogues"


def of_seeds(count: int) -> str:
    """1 seed, 2 seeds."""
    return f"{count} seed" + ("" if count == 1 else "s")


def share_axis(axes: Axes, label: str | None = None) -> None:
    """A vertical axis from 0 to 1 with room for an error bar's cap.

    It is EM, named in the leftmost panel only, unless `label` says otherwise.
    """
    axes.set_ylim(-0.02, 1.04)
    axes.set_yticks(np.linspace(0, 1, 6))
    if label or axes.get_subplotspec().is_first_col():
        axes.set_ylabel(label or "EM (strict)")


def log_axis(axes: Axes, values: pd.Series) -> None:
    """A logarithmic vertical axis with plain numbers; linear if a value is not positive."""
    values = values.dropna()
    if (values <= 0).any():
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(mpl.ticker.NullLocator())


def bars(axes: Axes, groups: Sequence[str], series: dict[str, pd.DataFrame], column: str) -> None:
    """Grouped bars with intervals: `series` by condition, each with one row per group."""
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
    """A figure that says that there is nothing to draw."""
    figure = Figure(figsize=(5, 0.8), layout="constrained")
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#555555")
    return figure


def legend(
    figure: Figure, conditions: Sequence[str], columns: int = 3, more: Sequence[Artist] = ()
) -> None:
    """The conditions' colours and names, and any `more` handles, below all panels."""
    handles = [
        mpl.patches.Patch(
            facecolor=CONDITION_COLOURS[name],
            hatch=CONDITION_HATCHES[name],
            edgecolor="white",
            linewidth=0,
            label=CONDITION_NAMES[name],
        )
        for name in conditions
    ]
    figure.legend(handles=[*handles, *more], loc="outside lower left", ncols=columns)
