"""The leaderboard's statistics on forecasts whose errors are known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forecast_waves import SCALES, SERIES, epochs, forecasts
from ttt_memory import io
from ttt_memory.errors import UserError
from ttt_memory.forecast.comparison.leaderboard import leaderboard, table
from ttt_memory.forecast.comparison.paired import student
from ttt_memory.forecast.comparison.results import read_forecasts
from ttt_memory.forecast.config import ComparisonConfig
from ttt_memory.forecast.schemas import EPOCHS, FORECASTS


@pytest.fixture(scope="module")
def board() -> pd.DataFrame:
    rows, costs = [], []
    for name, scales in SCALES.items():
        for seed, scale in enumerate(scales):
            rows += forecasts(name, seed, scale)
            costs += epochs(name, seed)
    rows += forecasts("last_value", 0, 0.5, "baseline") + forecasts(
        "titans_published", 0, 0.01, "baseline", "published"
    )
    costs += epochs("last_value", 0) + epochs("titans_published", 0)
    found = leaderboard(pd.DataFrame(rows), pd.DataFrame(costs), ComparisonConfig())
    return found.set_index("strategy")


def mean_mse(scale: float) -> float:
    return float(np.mean([(scale * (1 + series / SERIES)) ** 2 for series in range(SERIES)]))


def test_strict_forecasters_come_first_sorted_by_error(board: pd.DataFrame) -> None:
    assert list(board.index) == [
        "mesa",
        "titans_default",
        "no_memory",
        "last_value",
        "titans_published",
    ]


def test_means_and_student_intervals_over_seeds(board: pd.DataFrame) -> None:
    for name, scales in SCALES.items():
        means = [mean_mse(scale) for scale in scales]
        expected = stats.t.interval(0.95, 2, np.mean(means), stats.sem(means))
        assert board.loc[name, "mse"] == pytest.approx(np.mean(means))
        assert (board.loc[name, "low"], board.loc[name, "high"]) == pytest.approx(expected)
        # As the MSE, in standardised units; the target's own unit stands beside it.
        assert board.loc[name, "rmse"] == pytest.approx(np.sqrt(np.mean(means)))
        assert board.loc[name, "unit"] == 2
    assert np.isnan(board.loc["last_value", "low"])
    assert student(pd.Series([3.0]))[0] == 3


def test_memory_gain_pairs_the_seeds(board: pd.DataFrame) -> None:
    gains = [
        mean_mse(without) - mean_mse(scale)
        for without, scale in zip(SCALES["no_memory"], SCALES["mesa"], strict=True)
    ]
    expected = stats.t.interval(0.95, 2, np.mean(gains), stats.sem(gains))
    found = board.loc["mesa", ["gain", "gain_low", "gain_high"]].tolist()
    assert found == pytest.approx([np.mean(gains), *expected])
    assert board.loc[["no_memory", "last_value"], "gain"].isna().all()


def test_the_paired_comparison_is_over_series(board: pd.DataFrame) -> None:
    mesa, titans = (np.mean([mean_mse(s) for s in SCALES[n]]) for n in ("mesa", "titans_default"))
    row = board.loc["mesa"]
    assert row["difference"] == pytest.approx(mesa - titans)
    assert row["difference_low"] < row["difference"] < row["difference_high"] < 0
    # All twelve series agree in sign, so 2 of the 2^12 sign patterns are as extreme.
    assert row["p"] < 0.005
    assert board.loc["no_memory", "difference"] > 0
    assert np.isnan(board.loc["titans_default", "difference"])
    # A forecaster under the published protocol sees later samples and is not compared.
    assert np.isnan(board.loc["titans_published", ["difference", "p"]].astype(float)).all()
    # With one seed in common, that seed alone is compared.
    alone = mean_mse(0.5) - mean_mse(SCALES["titans_default"][0])
    assert board.loc["last_value", "difference"] == pytest.approx(alone)


def test_an_interval_covers_the_differences_between_seeds() -> None:
    """It is wider if seeds disagree, even where all series of one seed agree."""
    rows = [row for seed in range(3) for row in forecasts("titans_default", seed, 0.3)]
    for name, scales in {"even": (0.2, 0.2, 0.2), "uneven": (0.1, 0.2, 0.2646)}.items():
        rows += [row for seed, scale in enumerate(scales) for row in forecasts(name, seed, scale)]
    costs = [row for name in ("titans_default", "even", "uneven") for row in epochs(name, 0)]
    found = leaderboard(pd.DataFrame(rows), pd.DataFrame(costs), ComparisonConfig())
    found = found.set_index("strategy")
    width = found["difference_high"] - found["difference_low"]
    assert found.loc["even", "difference"] == pytest.approx(
        found.loc["uneven", "difference"], rel=0.01
    )
    assert width["uneven"] > 2 * width["even"]


def test_windows_of_one_record_are_not_resampled() -> None:
    """Interval and p are over seeds."""
    scales = {"titans_default": (0.30, 0.33, 0.36), "mesa": (0.20, 0.21, 0.19)}
    rows = [
        row
        for name, of_seeds in scales.items()
        for seed, scale in enumerate(of_seeds)
        for row in forecasts(name, seed, scale, separate=False)
    ]
    costs = [row for name in scales for row in epochs(name, 0)]
    found = leaderboard(pd.DataFrame(rows), pd.DataFrame(costs), ComparisonConfig())
    row = found.set_index("strategy").loc["mesa"]
    paired = [mean_mse(a) - mean_mse(b) for a, b in zip(*reversed(scales.values()), strict=True)]
    expected = student(pd.Series(paired))
    assert row[["difference", "difference_low", "difference_high"]].tolist() == pytest.approx(
        expected
    )
    # p is that of the interval: Student's over seeds.
    assert row["p"] == pytest.approx(stats.ttest_1samp(paired, 0).pvalue)


def test_windows_of_one_record_count_by_their_scored_samples() -> None:
    """A mean over all samples does not depend on how the record was cut into windows."""
    rows = forecasts("mesa", 0, 0.3, separate=False)
    for row in rows[1:4]:
        row["scored"] = np.arange(len(row["truth"])) < 1
    rows[4] |= {"scored": np.zeros(len(rows[4]["truth"]), bool), "mse": np.nan, "mae": np.nan}
    found = leaderboard(pd.DataFrame(rows), pd.DataFrame(epochs("mesa", 0)), ComparisonConfig())
    counted = [(row["scored"].sum(), row["mse"], row["mae"]) for row in rows if row is not rows[4]]
    weights, squares, sizes = map(np.array, zip(*counted, strict=True))
    assert found["mse"][0] == pytest.approx(np.average(squares, weights=weights))
    assert found["mae"][0] == pytest.approx(np.average(sizes, weights=weights))


def test_costs_are_means_over_epochs(board: pd.DataFrame) -> None:
    assert board.loc["mesa", "epoch_seconds"] == pytest.approx(3.5)
    assert board.loc["mesa", "best_epoch"] == 2


def test_the_printed_table_marks_the_published_protocol(board: pd.DataFrame) -> None:
    shown = table(board.reset_index(), "waves").set_index("strategy")
    assert "titans_published *" in shown.index
    assert shown.loc["mesa", "test MSE"].startswith(f"{board.loc['mesa', 'mse']:.5f} [")
    assert shown.loc["last_value", "memory gain"] == "–"


def test_the_same_experiment_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        io.write_table(tmp_path / f"{name}.parquet", forecasts("mesa", 0, 0.1), FORECASTS, {})
    with pytest.raises(UserError, match="'mesa' on 'waves', seed 0"):
        read_forecasts([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert EPOCHS.names == list(epochs("mesa", 0)[0])
