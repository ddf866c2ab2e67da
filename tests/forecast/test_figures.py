"""What the figures of the forecast study show: units, dates, floors, and which series."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import dates

from forecast_waves import SCALES, SERIES, STEPS, epochs, forecasts
from ttt_memory.forecast.comparison.figures import DRAWERS
from ttt_memory.forecast.comparison.leaderboard import leaderboard
from ttt_memory.forecast.comparison.results import SeriesNote, Study
from ttt_memory.forecast.config import ComparisonConfig
from ttt_memory.forecast.series.scale import Scale

SCALE = (Scale(55.0, 10.0),) * SERIES
ORIGINS = tuple(f"JFK 2013-10-{day:02} 06:00" for day in range(1, SERIES + 1))


@pytest.fixture(scope="module")
def study() -> Study:
    rows, costs = [], []
    for name, scales in SCALES.items():
        for seed, scale in enumerate(scales):
            rows += forecasts(name, seed, scale)
            costs += epochs(name, seed)
    rows += forecasts("last_value", 0, 0.5, "baseline")
    made, curves = pd.DataFrame(rows), pd.DataFrame([*costs, *epochs("last_value", 0)])
    note = SeriesNote("temp", SCALE, unit_name="°F", step=3600.0, origins=ORIGINS, floor=0.01)
    found = leaderboard(made, curves, ComparisonConfig())
    return Study(found, made, curves, series={"waves": note})


def test_a_good_a_median_and_a_bad_series_are_shown(study: Study) -> None:
    """Series s has an error that grows with s; of twelve, these are the second, middle, and last
    but one.
    """
    figure = DRAWERS["forecast_series"](study)
    mesa = study.forecasts[study.forecasts["strategy"] == "mesa"]
    for axes, series in zip(figure.axes, (1, 6, 10), strict=True):
        error = mesa[mesa["series"] == series]["mse"].mean()
        assert f"MSE {error:.4f}" in axes.get_title(loc="center") + axes.get_title(loc="left")
        lines = {line.get_label(): line for line in axes.lines}
        assert {"truth", "mesa", "titans_default", "no_memory", "last_value"} == set(lines)
        row = mesa[(mesa["series"] == series) & (mesa["seed"] == 0)].iloc[0]
        np.testing.assert_allclose(lines["truth"].get_ydata(), 55 + 10 * row["truth"], rtol=1e-6)
        np.testing.assert_allclose(lines["mesa"].get_ydata(), 55 + 10 * row["forecast"], rtol=1e-6)
        # Sixteen hours after the series begins.
        begin = pd.Timestamp(2013, 10, series + 1, 22)
        times = pd.date_range(begin, periods=STEPS, freq="1h")
        shown = dates.date2num(lines["mesa"].get_xdata())
        np.testing.assert_allclose(shown, dates.date2num(times))
        assert axes.get_ylabel() == "temp (°F)"
        assert axes.get_xlabel() == "time (UTC)"


def test_the_leaderboard_says_what_it_shows(study: Study) -> None:
    (axes,) = DRAWERS["forecast_leaderboard"](study).axes
    said = axes.get_title(loc="center") + axes.get_title(loc="left")
    assert said == "waves: temp one step ahead, 12 series, 3 seeds"
    assert "1 is (10 °F of temp)²" in axes.get_xlabel()
    for words in ("95% over seeds", "dotted: without memory", "dashed: the noise alone"):
        assert words in axes.get_xlabel()
    without = study.leaderboard.set_index("strategy").loc["no_memory", "mse"]
    verticals = {line.get_linestyle(): set(line.get_xdata()) for line in axes.lines}
    assert verticals[":"] == {without}
    assert verticals["--"] == {0.01}


def test_every_axis_has_a_label(study: Study) -> None:
    for name, draw in DRAWERS.items():
        figure = draw(study)
        if name in ("forecast_traces", "forecast_horizons"):
            assert figure is None
            continue
        for axes in figure.axes:
            if axes.get_visible():
                assert axes.get_xlabel(), name
                assert axes.get_ylabel() or name == "forecast_leaderboard", name


@pytest.fixture(scope="module")
def far() -> Study:
    """Forecasts 1, 24 and 96 samples ahead; errors grow with the horizon."""
    rows, costs = [], []
    for name, scales in SCALES.items():
        for seed, scale in enumerate(scales):
            costs += epochs(name, seed)
            for horizon in (1, 24, 96):
                rows += forecasts(name, seed, scale * (1 + horizon), horizon=horizon)
    made, curves = pd.DataFrame(rows), pd.DataFrame(costs)
    note = SeriesNote("temp", SCALE, origins=ORIGINS)
    found = leaderboard(made, curves, ComparisonConfig())
    return Study(found, made, curves, series={"waves": note})


def test_the_error_by_horizon_is_that_of_the_leaderboard(far: Study) -> None:
    (axes,) = DRAWERS["forecast_horizons"](far).axes
    said = axes.get_title(loc="center") + axes.get_title(loc="left")
    assert said == "waves: temp 1, 24 and 96 steps ahead, 12 series, 3 seeds"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "24", "96"]
    for container in axes.containers:
        line, _, (bars,) = container
        rows = far.leaderboard[far.leaderboard["strategy"] == container.get_label()]
        np.testing.assert_allclose(line.get_xdata().astype(float), [1, 24, 96])
        np.testing.assert_allclose(line.get_ydata().astype(float), rows["mse"])
        ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
        np.testing.assert_allclose(ends, rows[["low", "high"]].to_numpy(float))
    assert {container.get_label() for container in axes.containers} == set(SCALES)


def test_each_horizon_has_a_panel(far: Study) -> None:
    places = ["one step ahead", "24 steps ahead", "96 steps ahead"]
    for name, columns in (
        ("forecast_leaderboard", 1),
        ("forecast_position", 1),
        ("forecast_series", 3),
    ):
        shown = [axes for axes in DRAWERS[name](far).axes if axes.get_visible()]
        titles = [axes.get_title(loc="center") + axes.get_title(loc="left") for axes in shown]
        assert len(titles) == 3 * columns
        for title, place in zip(titles[::columns], places, strict=True):
            assert place in title
    (axes,) = DRAWERS["forecast_training"](far).axes
    said = axes.get_title(loc="center") + axes.get_title(loc="left")
    assert "1, 24 and 96 steps ahead" in said
