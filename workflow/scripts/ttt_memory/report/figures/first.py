"""The figure that the report opens with: EM of A, B, C and W by what is new to the model."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from ...vocabulary import COMPARED, CONDITIONS, HEADLINE_SPLIT, REFUSING, SPLITS
from ..results import Results
from ..summaries import of_seeds
from . import style

SHOWN = (*COMPARED, *REFUSING)
WIDTH, ROW = 4.3, 0.16  # inches: it is read on a phone, too
GAP = 0.7  # rows between two splits
WASH = "#eef3f9"


def em_by_split(results: Results) -> Figure | None:
    """A row for each split and condition of the main run, with the interval and the number."""
    run = results.main_run()
    if run is None:
        return None
    parts = results.by_split(run)
    step = len(SHOWN) + GAP
    figure, (axes,) = style.panels(1, size=(WIDTH, 1.3 + ROW * step * len(parts)))
    drawn = {}
    for group, rows in enumerate(parts.values()):
        for place, condition in enumerate(SHOWN):
            if condition in rows:
                height = group * step + place
                drawn[condition] = _point(axes, height, condition, rows[condition])
    if SPLITS[HEADLINE_SPLIT] in parts:
        axes.axhspan(-0.8, len(SHOWN) - 0.2, color=WASH, zorder=0)
    names = [f"{name}\nn = {rows['B']['n']:,}" for name, rows in parts.items()]
    axes.set_yticks([group * step + (len(SHOWN) - 1) / 2 for group in range(len(parts))], names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(parts) * step - 0.9, -0.8)
    axes.set_xlim(-0.03, 1.16)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.set_xlabel("EM (strict), levels 1 and 2")
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    seeds = of_seeds(max(rows["B"]["seeds"] for rows in parts.values()))
    axes.set_title(f"{results.label(run)}, {seeds}")
    handles = [drawn[condition] for condition in SHOWN if condition in drawn]
    figure.legend(handles=handles, loc="outside lower left", ncols=2, columnspacing=1)
    return figure


def _point(axes: Axes, height: float, condition: str, row: pd.Series) -> ErrorbarContainer:
    """The value of a condition with its interval, and the number at the right edge."""
    value = row["value"]
    ends = [[max(value - row["low"], 0)], [max(row["high"] - value, 0)]]
    axes.text(1.15, height, f"{value:.2f}", ha="right", va="center", fontsize=7)
    return axes.errorbar(
        value,
        height,
        xerr=ends,
        fmt=style.CONDITION_MARKERS[condition],
        color=style.CONDITION_COLOURS[condition],
        markersize=4.5,
        capsize=2,
        label=CONDITIONS[condition].title,
    )


def in_words(results: Results) -> str:
    """The values of the figure, for those who cannot see it."""
    run, parts = results.main_run(), []
    for name, rows in results.by_split(run).items() if run else ():
        values = [f"{c} {rows[c]['value']:.2f}" for c in SHOWN if c in rows]
        parts.append(f"{name}, {', '.join(values)}")
    return f"Values: {'; '.join(parts)}."
