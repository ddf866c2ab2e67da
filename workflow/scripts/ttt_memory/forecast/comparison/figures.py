"""Figures of the forecast study; each takes a `Study` and returns a figure, or None if empty."""

import numpy as np
from matplotlib.figure import Figure

from .axes import (
    BIN,
    GREYS,
    PANEL,
    colour_of,
    label_of,
    line_of,
    log_scale,
    panels,
    rows_of,
    shown,
    title,
    with_legend,
)
from .examples import examples
from .results import Family, Study


def leaderboards(study: Study) -> Figure | None:
    """Test MSE with its interval over seeds; one panel per family, the best on top."""
    figure, parts = panels(study.families, lambda one: 0.8 + 0.22 * len(rows_of(study, one)))
    for axes, family in parts:
        rows = rows_of(study, family)[::-1]
        places = np.arange(len(rows))
        for place, row in zip(places, rows, strict=True):
            colour = colour_of(study, row["strategy"])
            # The axis is logarithmic, so an interval that reaches below zero is cut.
            low = max(row["low"], row["mse"] / 10)
            ends = [[row["mse"] - low], [row["high"] - row["mse"]]]
            axes.errorbar(
                row["mse"], place, xerr=np.nan_to_num(ends), fmt="o", color=colour, capsize=2
            )
            if row["low"] < low:
                axes.plot(low, place, "<", color=colour)  # marks the cut
        axes.set_yticks(places, [label_of(row) for row in rows])
        without = [row["mse"] for row in rows if row["strategy"] == study.without_memory]
        for mse in without:
            axes.axvline(mse, color=GREYS[1], linestyle=":", linewidth=1)
        note = study.of_series(family.dataset)
        if note.floor:
            axes.axvline(note.floor, color=GREYS[1], linestyle="--", linewidth=1)
        log_scale(axes.xaxis)
        axes.tick_params(axis="x", which="both", labelsize=7)
        axes.grid(axis="x", color="#dddddd")
        lines = ["dotted: without memory"] if without else []
        lines += ["dashed: the noise alone"] if note.floor else []
        own = note.unit if note.unit_name else f"{note.unit} units"
        unit = f"test MSE; 1 is ({own} of {note.target})²"
        axes.set_xlabel("\n".join([unit, "bars: 95% over seeds", "; ".join(lines)]).strip())
        axes.set_title(title(study, family.dataset, [family.horizon]))
    return figure


def error_by_horizon(study: Study) -> Figure | None:
    """Test MSE with its interval over seeds at each horizon, of datasets that have several."""
    several = [name for name in study.datasets if len(study.horizons(name)) > 1]
    figure, parts = panels(several)
    for axes, dataset in parts:
        families = [family for family in study.families if family.dataset == dataset]
        best = [name for family in families for name in shown(study, family, baselines=True)]
        rows = study.leaderboard[study.leaderboard["dataset"] == dataset]
        for strategy in dict.fromkeys(best):
            own = rows[rows["strategy"] == strategy].sort_values("horizon")
            ends = np.stack([own["mse"] - own["low"], own["high"] - own["mse"]])
            ends = np.minimum(np.nan_to_num(ends), [0.9 * own["mse"], np.full(len(own), np.inf)])
            axes.errorbar(
                own["horizon"],
                own["mse"],
                ends,
                marker=".",
                linewidth=1.2,
                capsize=2,
                **line_of(study, strategy),
            )
        log_scale(axes.yaxis)
        axes.set_xscale("log")
        axes.set_xticks(study.horizons(dataset), map(str, study.horizons(dataset)))
        axes.set_xticks([], minor=True)
        axes.set_xlabel("horizon (steps ahead); bars: 95% over seeds")
        axes.set_ylabel("test MSE, standardised")
        axes.set_title(title(study, dataset, study.horizons(dataset)))
    return with_legend(figure)


def error_by_position(study: Study) -> Figure | None:
    """MSE by position, averaged over series, seeds and BIN neighbouring positions."""
    figure, parts = panels(study.families)
    for axes, family in parts:
        for strategy in shown(study, family, baselines=True):
            first, errors = study.errors(family, strategy)
            whole = len(errors) // BIN * BIN
            if not whole:
                continue
            # The first samples of a series are not scored.
            bins = errors[:whole].reshape(-1, BIN)
            known = np.isfinite(bins).sum(1)
            means = np.where(known, np.nansum(bins, axis=1) / np.maximum(known, 1), np.nan)
            position = first + np.arange(len(means)) * BIN + (BIN - 1) / 2
            axes.plot(position, means, marker=".", linewidth=1.2, **line_of(study, strategy))
        log_scale(axes.yaxis)
        axes.set_xlabel(f"position in the series (means of {BIN})")
        axes.set_ylabel("test MSE, standardised")
        axes.set_title(title(study, family.dataset, [family.horizon]))
    return with_legend(figure)


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
        colour = colour_of(study, strategy)
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
    log_scale(left.yaxis)
    left.set_title(f"{dataset}: recall error (MSE) before each write, first chunk = 1")
    right.set_title("gates between 0 and 1 (dashed: per chunk)")
    for axes in (left, right):
        axes.set_xlabel("position in the series")
        axes.set_visible(bool(axes.lines))
    left.set_ylabel("recall error, relative")
    right.set_ylabel("gate")
    right.set_ylim(-0.02, 1.02)
    return with_legend(figure)


def cost_and_error(study: Study) -> Figure | None:
    """Test MSE against training time; one point per forecaster."""
    figure, parts = panels(study.families)
    for axes, family in parts:
        for row in rows_of(study, family):
            point = (max(row["epoch_seconds"], 1e-3), row["mse"])
            axes.plot(*point, "o", color=colour_of(study, row["strategy"]))
            axes.annotate(
                label_of(row), point, textcoords="offset points", xytext=(4, 3), fontsize=6
            )
        axes.set_xscale("log")
        log_scale(axes.yaxis)
        axes.set_xlabel("training time, s per epoch")
        axes.set_ylabel("test MSE, standardised")
        axes.set_title(title(study, family.dataset, [family.horizon]))
        axes.margins(x=0.2)
    return figure


def training_curves(study: Study) -> Figure | None:
    """Validation MSE by epoch, averaged over seeds; one panel per dataset, over its horizons."""
    figure, parts = panels(study.datasets)
    for axes, dataset in parts:
        rows, horizons = study.epochs[study.epochs["dataset"] == dataset], study.horizons(dataset)
        for strategy in study.ranking(Family(dataset, horizons[0])):
            means = rows[rows["strategy"] == strategy].groupby("epoch")["valid_mse"].mean()
            if len(means) > 1:
                axes.plot(means.index, means.to_numpy(), linewidth=1.2, **line_of(study, strategy))
        log_scale(axes.yaxis)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch")
        axes.set_ylabel("validation MSE, standardised")
        axes.set_title(title(study, dataset, horizons))
    return with_legend(figure)


# In the order of the report, which adds the titles.
DRAWERS = {
    "forecast_leaderboard": leaderboards,
    "forecast_horizons": error_by_horizon,
    "forecast_series": examples,
    "forecast_position": error_by_position,
    "forecast_traces": surprise_and_gates,
    "forecast_cost": cost_and_error,
    "forecast_training": training_curves,
}
