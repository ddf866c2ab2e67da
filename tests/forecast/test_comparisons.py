"""Comparisons corrected for their number, shares of the possible gain, curves not yet flat."""

import numpy as np
import pandas as pd
import pytest

from forecast_waves import SCALES, SERIES, epochs, forecasts
from ttt_memory.forecast.comparison.holm import holm
from ttt_memory.forecast.comparison.leaderboard import flatness, leaderboard, rivals_table, table
from ttt_memory.forecast.comparison.paired import against_rivals
from ttt_memory.forecast.config import ComparisonConfig, ForecastConfig
from ttt_memory.forecast.config_checks import problems


def study(**scales: tuple[float, ...]) -> pd.DataFrame:
    """Forecasts of the strategies of SCALES, and of baselines with these scales of their errors."""
    rows = []
    for name, of_seeds in (SCALES | scales).items():
        kind = "baseline" if name in scales else "strategy"
        rows += [row for s, scale in enumerate(of_seeds) for row in forecasts(name, s, scale, kind)]
    return pd.DataFrame(rows)


def mean_square() -> float:
    return float(np.mean([(1 + series / SERIES) ** 2 for series in range(SERIES)]))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # 4 * 0.005, 3 * 0.01, 2 * 0.03, and 0.04 no less than the one before it: by hand.
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.2, 0.9, 0.6], [0.6, 1.0, 1.0]),
        ([0.02, np.nan, 0.02], [0.04, np.nan, 0.04]),
        ([np.nan], [np.nan]),
        ([], []),
    ],
)
def test_holm_agrees_with_numbers_worked_by_hand(given: list, expected: list) -> None:
    np.testing.assert_allclose(holm(given), expected)


def test_holm_keeps_the_chance_of_any_false_finding() -> None:
    """Of 20 comparisons without a difference, some p is below 0.05 in 64% of studies before."""
    studies = np.random.default_rng(0).uniform(size=(4000, 20))
    assert (studies.min(1) < 0.05).mean() > 0.6
    found = np.mean([holm(row).min() < 0.05 for row in studies])
    assert found == pytest.approx(0.05, abs=0.012)


def test_strategies_against_their_rivals() -> None:
    config = ComparisonConfig(rivals=("no_memory", "lstm"))
    found = against_rivals(study(lstm=(0.30, 0.33, 0.36)), config)
    assert list(zip(found["strategy"], found["rival"], strict=True)) == [
        ("titans_default", "no_memory"),
        ("titans_default", "lstm"),
        ("mesa", "no_memory"),
        ("mesa", "lstm"),
    ]
    assert set(found["tests"]) == {4}
    assert found["beats"].tolist() == [True, False, True, True]
    np.testing.assert_allclose(found["p_holm"], holm(found["p"]))
    expected = mean_square() * (np.square(SCALES["mesa"]) - np.square(SCALES["no_memory"])).mean()
    assert found["difference"][2] == pytest.approx(expected)


def test_a_difference_that_is_no_less_after_correction_beats_nothing() -> None:
    """One series of twelve decides: the raw p of 2 / 2^12 never comes from so few signs."""
    rows = study()
    worse = (rows["strategy"] == "mesa") & (rows["series"] % 2 == 0)
    rows.loc[worse, "mse"] = 0.6
    found = against_rivals(rows, ComparisonConfig(rivals=("no_memory",))).set_index("strategy")
    assert found.loc["mesa", "p_holm"] > 0.05
    assert not found.loc["mesa", "beats"]
    assert found.loc["titans_default", "beats"]


def test_an_absent_rival_is_left_out_and_a_misspelled_one_refused() -> None:
    assert set(against_rivals(study(), ComparisonConfig())["rival"]) == {"no_memory"}
    config = ForecastConfig.model_validate({"comparison": {"rivals": ["no_memory", "lstmm"]}})
    assert [key for key, _ in problems(config)] == ["comparison.rivals"]
    assert not list(problems(ForecastConfig()))


def test_the_share_of_the_possible_gain() -> None:
    """By hand: squares 0.16 without memory and 0.04 with it; 0.09 is 7 of the 12 between them."""
    floors = {"floor_of_window": (0.4, 0.4, 0.4), "floor_of_past": (0.2, 0.2, 0.2)}
    made = study(**floors, lstm=(0.3, 0.3, 0.3))
    costs = pd.DataFrame(row for name in set(made["strategy"]) for row in epochs(name, 0))
    board = leaderboard(made, costs, ComparisonConfig()).set_index("strategy")
    assert board.loc["lstm", "share"] == pytest.approx(7 / 12)
    assert board.loc["floor_of_window", "share"] == pytest.approx(0)
    assert board.loc["floor_of_past", "share"] == pytest.approx(1)
    assert board.loc["no_memory", "share"] < 0
    row = board.loc["titans_default"]
    # Seeds disagree, so the interval has a width.
    assert row["share_low"] < row["share"] < row["share_high"]
    # Where the past tells nothing more, there is no share.
    useless = study(**(floors | {"floor_of_past": (0.3999,) * 3}))
    assert leaderboard(useless, costs, ComparisonConfig())["share"].isna().all()
    without = leaderboard(study(), costs, ComparisonConfig())
    assert without["share"].isna().all()


def test_a_curve_that_still_falls_is_told() -> None:
    steps = range(1, 11)
    flat = [{"seed": 0, "epoch": e, "valid_mse": 1 + 1 / e**4} for e in steps]
    falling = [{"seed": 1, "epoch": e, "valid_mse": 2 - e / 10} for e in steps]
    found = flatness(pd.DataFrame(falling + flat), 0.01)
    assert found["not_flat"] == 1
    # The best of the first 8 epochs is 1.2 and 1 + 1/4096; of all 1.0 and 1 + 1/10000.
    expected = (0.2 + (1 + 1 / 4096) / 1.0001 - 1) / 2
    assert found["late_fall"] == pytest.approx(expected)
    assert flatness(pd.DataFrame(falling + flat), 0.3)["not_flat"] == 0
    fitted = flatness(pd.DataFrame([{"seed": 0, "epoch": 1, "valid_mse": 1.0}]), 0.01)
    assert fitted["not_flat"] == 0
    assert np.isnan(fitted["late_fall"])


def test_the_printed_table_names_the_corrected_p_and_what_is_not_flat() -> None:
    made = study()
    costs = pd.DataFrame(
        {**row, "valid_mse": 1 / row["epoch"]}
        for name in SCALES
        for row in epochs(name, 0) + epochs(name, 1) + epochs(name, 2)
    )
    board = leaderboard(made, costs, ComparisonConfig())
    shown = table(board, "waves").set_index("strategy")
    assert shown.loc["mesa", "not flat"] == "3 of 3, by 100.0%"
    corrected = board.set_index("strategy").loc["mesa", "p_holm"]
    assert shown.loc["mesa", "p (Holm)"] == f"{corrected:.4f}"
    assert "p" not in shown.columns


def test_a_dataset_at_a_horizon_is_a_family_of_its_own() -> None:
    """Ranked, compared and corrected as if there were no other horizon."""
    near, config = study(lstm=(0.30, 0.33, 0.36)), ComparisonConfig()
    swapped = {"mesa": "titans_default", "titans_default": "mesa"}
    far = near.assign(horizon=24, strategy=near["strategy"].replace(swapped))
    costs = pd.DataFrame(row for name in SCALES | {"lstm": ()} for row in epochs(name, 0))
    both = pd.concat([near, far])
    board, rivals = leaderboard(both, costs, config), against_rivals(both, config)
    alone = [leaderboard(part, costs, config) for part in (near, far)]
    pd.testing.assert_frame_equal(board, pd.concat(alone, ignore_index=True))
    assert board["strategy"].tolist()[::4] == ["mesa", "titans_default"]
    alone = [against_rivals(part, config) for part in (near, far)]
    pd.testing.assert_frame_equal(rivals, pd.concat(alone, ignore_index=True))
    assert set(rivals["tests"]) == {4}
    shown = table(board, "waves")
    assert shown["horizon"].tolist() == 4 * ["1"] + 4 * ["24"]
    assert list(rivals_table(rivals, "waves")["horizon"]) == 4 * ["1"] + 4 * ["24"]
