"""Figures of EM by condition, category, position, distractor and split, and of attribution."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from ...vocabulary import (
    BY_POSITION,
    COMPARED,
    CONDITIONS,
    DISTRACTOR_LEVEL,
    GROUNDINGS,
    SPLITS,
    THIRDS,
    WITH_DISTRACTOR,
)
from ..results import LEVELS, Results
from ..summaries import of_seeds, sample_size
from . import style

POSITION_MARKERS = "osDv"  # of the conditions of BY_POSITION


def em_by_condition(results: Results) -> Figure:
    """EM by level and condition in the verdict's split, one panel per run.

    Dotted boxes mark the guessing floor.
    """
    figure, grid = style.panels(len(results.runs), sharey=True)
    for axes, run in zip(grid, results.runs, strict=True):
        rows = results.rows("em", by=["level"], run=run, **results.headline(run))
        levels = [level for level in LEVELS if level in set(rows["level"])]
        series = {c: rows[rows["condition"] == c] for c in results.conditions(run)}
        style.bars(axes, levels, series, "level")
        band = _floor_band(axes, results, run, levels)
        sizes = rows.groupby("level")[["n", "dialogues"]].max()
        names = [
            f"level {level}\nn = {sizes['n'][level]:,}\n{sizes['dialogues'][level]:,} dialogues"
            for level in levels
        ]
        axes.set_xticks(range(len(levels)), names, fontsize=7)
        style.share_axis(axes)
        seeds = of_seeds(rows["seeds"].max())
        axes.set_title(f"{results.label(run)}, {seeds}\n{results.headline_name(run)}")
    style.legend(figure, _conditions(results), more=[band])
    return figure


def _floor_band(axes: Axes, results: Results, run: str, levels: list[str]) -> Artist:
    """Dotted boxes from the lower to the upper estimate of the guessing floor."""
    low, high = (
        results.rows(metric, by=["level"], run=run, **results.headline(run))
        .set_index("level")["value"]
        .reindex(levels)
        for metric in ("em_floor_others", "em_floor")
    )
    return axes.bar(
        range(len(levels)),
        high - low,
        0.94,
        bottom=low,
        color="none",
        edgecolor="black",
        linewidth=0.7,
        linestyle=":",
        label="guessing floor",
    )


def em_by_category(results: Results) -> Figure | None:
    """Heat map of EM by category and condition, with intervals, one panel per run."""
    found = results.rows("em", by=["category"])
    runs = [run for run in results.runs if run in set(found["run"])]
    if not runs:
        return None
    categories = max(found.groupby("run")["category"].nunique())
    figure, grid = style.panels(
        len(runs), 2, (0.72 * categories + 0.8, 0.42 * len(CONDITIONS) + 1.1)
    )
    for axes, run in zip(grid, runs, strict=True):
        rows = found[found["run"] == run]
        image = _heat(axes, rows, results.conditions(run))
        axes.set_title(f"{results.label(run)}, {of_seeds(rows['seeds'].max())}")
    figure.colorbar(image, ax=grid, label="EM (strict)", shrink=0.5, aspect=25)
    return figure


def _heat(axes: Axes, rows: pd.DataFrame, conditions: list[str]) -> AxesImage:
    categories = sorted(rows["category"].unique())
    value, low, high = (
        rows.pivot(index="condition", columns="category", values=name)
        .reindex(index=conditions, columns=categories)
        .to_numpy()
        for name in ("value", "low", "high")
    )
    image = axes.imshow(value, cmap="YlGnBu", vmin=0, vmax=1, aspect="auto")
    for place in np.ndindex(value.shape):
        if np.isfinite(value[place]):
            text = f"{value[place]:.2f}\n[{low[place]:.2f}, {high[place]:.2f}]"
            colour = "white" if value[place] > 0.55 else "black"
            x, y = place[1], place[0]
            axes.text(x, y, text, ha="center", va="center", fontsize=5.5, color=colour)
    counts = rows.groupby("category")["n"].max()
    names = [f"{name}\nn = {counts[name]:,}" for name in categories]
    axes.set_xticks(range(len(categories)), names, fontsize=6.5)
    axes.set_yticks(range(len(conditions)), conditions)
    axes.grid(visible=False)
    return image


def em_by_position(results: Results) -> Figure:
    """EM of some conditions by the third of the dialogue that holds the value of the fact.

    Where the benchmark of a run does not say where its values are, thirds are those of the list of
    probes instead, as published.
    """
    figure, grid = style.panels(len(results.runs), sharey=True)
    lines = {}
    for axes, run in zip(grid, results.runs, strict=True):
        column, label = "position", "third of the dialogue with the fact"
        rows = results.rows("em", by=[column], run=run)
        if rows.empty:
            column, label = "probe_order", "third of the probes (levels 1 and 3)"
            rows = results.rows("em", by=[column], run=run)
        asked = results.conditions(run)
        for place, condition in enumerate(c for c in BY_POSITION if c in asked):
            part = rows[rows["condition"] == condition].set_index(column).reindex(THIRDS)
            lines[condition] = axes.errorbar(
                np.arange(3) + 0.05 * (place - 1),
                part["value"],
                yerr=style.errors(part),
                color=style.CONDITION_COLOURS[condition],
                marker=POSITION_MARKERS[BY_POSITION.index(condition)],
                capsize=2,
                label=CONDITIONS[condition].title,
            )
        axes.set_xticks(range(3), THIRDS)
        axes.set_xlabel(label)
        style.share_axis(axes)
        size = f"{sample_size(rows)}, {of_seeds(rows['seeds'].max())}"
        axes.set_title(f"{results.label(run)}\n{size}")
    handles = [lines[condition] for condition in BY_POSITION if condition in lines]
    figure.legend(handles=handles, loc="outside lower left", ncols=3)
    return figure


def distractor(results: Results) -> Figure | None:
    """EM on level 3 of each run in the verdict's split, with and without the distractor."""
    runs = [run for run in results.runs if "D" in results.conditions(run)]
    parts = [
        results.rows("em", run=run, level=DISTRACTOR_LEVEL, **results.headline(run)) for run in runs
    ]
    rows = pd.concat([results.metrics[:0], *parts])
    rows = rows[rows["condition"].isin(WITH_DISTRACTOR)]
    if rows.empty:
        return None
    figure, (axes,) = style.panels(1, size=(1.5 + 1.6 * len(runs), 3.4))
    conditions = [c for c in WITH_DISTRACTOR if c in set(rows["condition"])]
    series = {c: rows[rows["condition"] == c] for c in conditions}
    style.bars(axes, runs, series, "run")
    names = []
    for run in runs:
        own = rows[rows["run"] == run]
        size = sample_size(own).replace(", ", "\n") + f", {of_seeds(own['seeds'].max())}"
        names.append(f"{results.label(run).replace(' (', chr(10) + '(')}\n{size}")
    axes.set_xticks(range(len(runs)), names, fontsize=7)
    style.share_axis(axes, "EM (strict), level 3")
    style.legend(figure, conditions, columns=1 if len(runs) < 3 else 4)
    return figure


def splits(results: Results) -> Figure | None:
    """EM of A and B on levels 1 and 2, by split and by whether the question shares a word."""
    rows = results.rows("em_compared", by=["split", "grounding"])
    rows = rows[rows["split"].isin(list(SPLITS)) & rows["condition"].isin(COMPARED)]
    if rows.empty:
        return None
    rows = rows.assign(group=rows["split"] + "/" + rows["grounding"])
    found = set(rows["group"])
    groups = [f"{s}/{g}" for s in SPLITS for g in GROUNDINGS if f"{s}/{g}" in found]
    runs = [run for run in results.runs if run in set(rows["run"])]
    figure, grid = style.panels(len(runs), 2, (5.4, 2.9), sharey=True)
    for axes, run in zip(grid, runs, strict=True):
        part = rows[rows["run"] == run]
        style.bars(axes, groups, {c: part[part["condition"] == c] for c in COMPARED}, "group")
        counts = part.groupby("group")["n"].max()
        names = [f"{_split_name(group)}\nn = {counts.get(group, 0):,}" for group in groups]
        axes.set_xticks(range(len(groups)), names, fontsize=6.5)
        style.share_axis(axes, "EM (strict), levels 1 and 2")
        axes.set_title(f"{results.label(run)}, {of_seeds(part['seeds'].max())}")
    style.legend(figure, COMPARED)
    return figure


def attribution(results: Results) -> Figure | None:
    """Memory efficiency of the baseline, of the runs that change one thing, and of the others."""
    rows = [(run, results.efficiency(run)) for run in results.compared()]
    rows = [(run, row) for run, row in reversed(rows) if row is not None and row.value >= 0]
    if not rows:
        return None
    figure, (axes,) = style.panels(1, size=(7.2, 0.9 + 0.34 * len(rows)))
    names = []
    for place, (run, row) in enumerate(rows):
        ends = [[max(row.value - row.low, 0)], [max(row.high - row.value, 0)]]
        colour = style.CONDITION_COLOURS["B"] if run == results.report.baseline else style.DARK
        axes.errorbar(row.value, place, xerr=ends, fmt="o", color=colour, capsize=2)
        names.append(f"{results.label(run)}\nn = {row.n:,}, {of_seeds(row.seeds)}")
    for bar in (results.scoring.partial, results.scoring.viable):
        axes.axvline(bar, color="black", linestyle=":", linewidth=0.9)
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.set_xlim(left=-0.02)
    axes.set_xlabel("EM(B) / EM(A), split of the verdict; dotted: its bars")
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    return figure


def _conditions(results: Results) -> list[str]:
    found = {c for run in results.runs for c in results.conditions(run)}
    return [c for c in CONDITIONS if c in found]


def _split_name(group: str) -> str:
    split, grounding = group.split("/")
    words = GROUNDINGS[grounding].replace(" shared", "\nshared")
    return f"{SPLITS[split].replace(' ', chr(10))}\n{words}"
