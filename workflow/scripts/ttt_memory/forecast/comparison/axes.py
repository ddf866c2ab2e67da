"""What the figures of the forecast study share: panels, titles, colours, scales and the legend.

A strategy has the same colour in all figures; baselines are grey.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .results import Family, Study, ahead

T = TypeVar("T")
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
DASHES = ["-", "--", ":"]
BEST = 3  # strategies shown where a figure of all would not be readable
BIN = 16  # positions averaged into one point of the error by position


def title(study: Study, dataset: str, horizons: Sequence[int]) -> str:
    """Dataset, target, horizons, and how many test series and training seeds are behind a panel."""
    rows = study.leaderboard[study.leaderboard["dataset"] == dataset]
    target = study.of_series(dataset).target
    what = f"{dataset}: {target + ' ' if target else ''}{ahead(horizons)}"
    seeds = rows["seeds"].max()
    return f"{what}, {rows['series'].max():,} series, {seeds} seed{'s' if seeds > 1 else ''}"


def panels(
    parts: Sequence[T], height: Callable[[T], float] | None = None
) -> tuple[Figure | None, list[tuple[Axes, T]]]:
    """A figure with one panel for each part; `height` gives a part's panel height in inches."""
    if not parts:
        return None, []
    columns = min(2, len(parts))
    rows = math.ceil(len(parts) / columns)
    tall = max([PANEL[1], *(height(part) for part in parts)]) if height else PANEL[1]
    figure = Figure(figsize=(PANEL[0] * columns, tall * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(parts) :]:
        axes.set_visible(False)
    return figure, list(zip(grid, parts, strict=False))


def rows_of(study: Study, family: Family) -> list[dict]:
    """The rows of a family's leaderboard, the best first."""
    return family.rows(study.leaderboard).to_dict("records")


def label_of(row: dict) -> str:
    """The name of a row's forecaster; one under the published protocol says so."""
    return row["strategy"] + (" (published protocol)" if row["protocol"] == "published" else "")


def shown(study: Study, family: Family, baselines: bool = False) -> list[str]:
    """The best strategies and the one without memory; with `baselines`, the two best of those."""
    ranked = study.ranking(family, "strategy")
    shown = ranked[:BEST] + [name for name in ranked[BEST:] if name == study.without_memory]
    return shown + (study.ranking(family, "baseline")[:2] if baselines else [])


def colour_of(study: Study, strategy: str) -> str:
    """The colour of a forecaster in all figures."""
    return line_of(study, strategy)["color"]


def line_of(study: Study, strategy: str) -> dict[str, str]:
    """Colour, dashes and label of a forecaster's line; baselines of one grey differ in dashes."""
    rows = study.leaderboard.drop_duplicates("strategy")
    names = sorted(rows.loc[rows["kind"] == "strategy", "strategy"])
    colour, dashes = "black", DASHES[0]
    if strategy in names and strategy != study.without_memory:
        colour = COLOURS[names.index(strategy) % len(COLOURS)]
    elif strategy not in names:
        place = sorted(set(rows["strategy"]) - set(names)).index(strategy)
        colour, dashes = GREYS[place % len(GREYS)], DASHES[place // len(GREYS) % len(DASHES)]
    return {"color": colour, "linestyle": dashes, "label": strategy}


def log_scale(axis: mpl.axis.Axis) -> None:
    """Make an axis logarithmic, with plain numbers as labels."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    axis.set_major_formatter("{x:g}")
    low, high = sorted(axis.get_view_interval())
    axis.set_minor_locator(mpl.ticker.LogLocator(subs=(2, 3, 5) if high > 4 * low else "all"))
    axis.set_minor_formatter("{x:g}")


def with_legend(figure: Figure | None) -> Figure | None:
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
