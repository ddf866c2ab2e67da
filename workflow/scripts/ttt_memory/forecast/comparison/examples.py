"""Forecasts against the truth, for a series that is forecast well, a middling and a bad one."""

import numpy as np
import pandas as pd
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .axes import PANEL, line_of, shown, with_legend
from .results import Family, SeriesNote, Study

LAST = 80  # samples shown of a series
# By the error of the best strategy: the share of the test series with a lower one.
CHOSEN = {"a good series": 0.1, "a median series": 0.5, "a bad series": 0.9}


def examples(study: Study) -> Figure | None:
    """The last samples of three test series of each family, with the forecasts of the best."""
    families = [family for family in study.families if study.ranking(family)]
    if not families:
        return None
    size = (PANEL[0] * len(CHOSEN), PANEL[1] * len(families))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(families), len(CHOSEN), squeeze=False)
    for row, family in zip(grid, families, strict=True):
        rows = family.rows(study.forecasts)
        errors = _errors(study, family, rows)
        for axes, (quality, share) in zip(row, CHOSEN.items(), strict=True):
            series = errors.index[round(share * (len(errors) - 1))]
            _draw(axes, study, family, rows[rows["series"] == series])
            axes.set_title(f"{family.name}: {quality}\nMSE {errors[series]:.4f}")
    return with_legend(figure)


def _errors(study: Study, family: Family, rows: pd.DataFrame) -> pd.Series:
    """The error of each test series by the best forecaster, mean over seeds, the lowest first."""
    ranked = study.ranking(family, "strategy") or study.ranking(family)
    best = rows[rows["strategy"] == ranked[0]]
    return best.groupby("series")["mse"].mean().dropna().sort_values(kind="stable")


def _draw(axes: Axes, study: Study, family: Family, rows: pd.DataFrame) -> None:
    """One series: the truth, and what each forecaster says with its first seed."""
    note = study.of_series(family.dataset)
    for number, strategy in enumerate(shown(study, family, baselines=True)):
        row = rows[rows["strategy"] == strategy].sort_values("seed").iloc[0]
        scale = note.scale(int(row["series"]))
        place = _places(note, int(row["series"]), int(row["first"]), len(row["truth"]))[-LAST:]
        if not number:
            truth = np.where(row["scored"], row["truth"], np.nan)[-LAST:]
            axes.plot(place, scale.mean + scale.unit * truth, ".", color="black", label="truth")
        axes.plot(
            place,
            scale.mean + scale.unit * row["forecast"][-LAST:],
            linewidth=1.2,
            **line_of(study, strategy),
        )
    axes.set_ylabel(note.label or "value")
    if isinstance(place, pd.DatetimeIndex):
        locator = dates.AutoDateLocator(minticks=3, maxticks=7)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
        axes.set_xlabel("time (UTC)")
    else:
        axes.set_xlabel("position in the series (samples)")


def _places(note: SeriesNote, series: int, first: int, count: int) -> np.ndarray | pd.DatetimeIndex:
    """The time of each forecast, where samples have one; else its position."""
    if note.step is None:
        return first + np.arange(count)
    date, hour = note.origins[series].split()[-2:]
    begin = pd.Timestamp(f"{date} {hour}") + pd.Timedelta(seconds=first * note.step)
    return pd.date_range(begin, periods=count, freq=pd.Timedelta(seconds=note.step))
