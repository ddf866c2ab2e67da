"""Bootstrap intervals and permutation tests against what they must do."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ttt_memory.scoring.config import ScoringConfig
from ttt_memory.scoring.intervals import (
    Cells,
    nested_weights,
    percentile,
    quotient,
    sign_flip,
    weights,
)

CONFIG = ScoringConfig(bootstrap=1000)


def rows(by_dialogue: np.ndarray, seed: int = 0, of_skeleton: int = 1) -> pd.DataFrame:
    """Per-probe rows from [dialogues, probes] values, `of_skeleton` dialogues of each skeleton."""
    dialogues, probes = by_dialogue.shape
    return pd.DataFrame(
        {
            "seed": seed,
            "dialogue": np.repeat(np.arange(dialogues), probes),
            "skeleton": np.repeat(np.arange(dialogues) // of_skeleton, probes),
            "em": by_dialogue.ravel().astype(float),
        }
    )


def naive_draws(frame: pd.DataFrame, config: ScoringConfig) -> np.ndarray:
    """The bootstrap as one would write it by hand: repeat each drawn dialogue's rows."""
    dialogues, seeds = frame["dialogue"].unique(), frame["seed"].unique()
    skeleton = tuple(frame.groupby("dialogue")["skeleton"].first())
    by_dialogue = nested_weights(skeleton, config.bootstrap, config.seed).astype(int)
    by_seed = weights(len(seeds), config.bootstrap, config.seed + 1)
    found = []
    for draw, seed_weights in zip(by_dialogue, by_seed, strict=True):
        chosen = np.repeat(dialogues, draw)
        means = []
        for seed in seeds:
            part = frame[frame["seed"] == seed].set_index("dialogue")["em"]
            means.append(pd.concat([part.loc[[name]] for name in chosen]).mean())
        found.append(np.average(means, weights=seed_weights))
    return np.array(found)


def test_agrees_with_repeating_rows():
    rng = np.random.default_rng(0)
    config = ScoringConfig(bootstrap=100)
    ragged = pd.concat(
        [rows(rng.random((5, 3)) < 0.6, seed, of_skeleton=2).iloc[: 15 - 2] for seed in (0, 1, 2)]
    )
    cells = Cells.of(ragged, ["em"])
    np.testing.assert_allclose(cells.draws(config)[:, 0], naive_draws(ragged, config))
    by_seed = ragged.groupby("seed")["em"].mean()
    assert cells.means()[0] == pytest.approx(by_seed.mean())


def test_dialogues_are_drawn_within_the_skeletons_drawn():
    """Against drawing one item at a time: the same mean and covariance of the counts."""
    skeleton, draws = ("a", "a", "b", "c", "c", "c"), 20_000
    names = np.array(skeleton)
    found = nested_weights(skeleton, draws, 0)
    rng = np.random.default_rng(1)
    naive = np.zeros((draws, 6))
    for counts in naive:
        for name in rng.choice(["a", "b", "c"], 3):
            members = np.flatnonzero(names == name)
            np.add.at(counts, rng.choice(members, len(members)), 1)
    np.testing.assert_allclose(found.mean(0), naive.mean(0), atol=0.03)
    np.testing.assert_allclose(np.cov(found.T), np.cov(naive.T), atol=0.06)
    of_c = found[:, names == "c"].sum(1)
    assert set(of_c) == {0, 3, 6, 9}  # a skeleton comes up whole


def test_an_effect_of_the_skeleton_widens_the_interval():
    """Six dialogues of one skeleton agree: there is hardly more to know than of one of them."""
    rng = np.random.default_rng(7)
    chance = np.repeat(rng.random(20) < 0.5, 6)[:, None]
    values = rng.random((120, 4)) < 0.05 + 0.9 * chance
    widths = [
        np.ptp(percentile(Cells.of(rows(values, 0, of), ["em"]).draws(CONFIG))[:, 0])
        for of in (6, 1)
    ]
    assert widths[0] > 2 * widths[1]


@pytest.mark.parametrize("dialogues", [1, 4])
def test_covers_the_truth_of_new_skeletons(dialogues):
    """Skeletons and dialogues vary in difficulty. Resampled dialogues alone would cover less."""
    rng = np.random.default_rng(8)
    trials, skeletons, covered, covered_by_dialogues = 200, 30, 0, 0
    for _ in range(trials):
        of_skeleton = rng.normal(0, 0.2, size=(skeletons, 1))
        chance = np.repeat(0.5 + of_skeleton, dialogues, axis=0)
        chance = chance + rng.normal(0, 0.1, size=chance.shape)
        values = rng.random((skeletons * dialogues, 6)) < chance
        for of in {dialogues, 1}:
            low, high = percentile(Cells.of(rows(values, 0, of), ["em"]).draws(CONFIG))[:, 0]
            covered += (of == dialogues) * (low <= 0.5 <= high)
            covered_by_dialogues += (of == 1) * (low <= 0.5 <= high)
    assert 0.9 <= covered / trials <= 0.99
    assert dialogues == 1 or covered_by_dialogues / trials < 0.85


@pytest.mark.parametrize(("seeds", "within"), [(1, (0.91, 0.98)), (3, (0.93, 1.0))])
def test_covers_the_truth_about_as_often_as_it_says(seeds, within):
    """Dialogues and seeds vary in difficulty: a bootstrap over probes would cover far less."""
    rng = np.random.default_rng(1)
    covered = covered_by_probes = 0
    trials, dialogues, probes = 300, 60, 8
    for _ in range(trials):
        chance = np.clip(rng.beta(2, 2, size=(dialogues, 1)), 0, 1)
        frames = [rows(rng.random((dialogues, probes)) < chance, seed) for seed in range(seeds)]
        frame = pd.concat(frames)
        low, high = percentile(Cells.of(frame, ["em"]).draws(CONFIG))[:, 0]
        covered += low <= 0.5 <= high
        spread = 1.96 * frame["em"].std() / np.sqrt(len(frame))
        covered_by_probes += abs(frame["em"].mean() - 0.5) <= spread
    assert within[0] <= covered / trials <= within[1]
    assert covered_by_probes / trials < 0.85


def test_is_the_same_every_time_and_another_with_another_seed():
    cells = Cells.of(rows(np.random.default_rng(2).random((20, 4)) < 0.5), ["em"])
    once = cells.draws(CONFIG)
    weights.cache_clear()
    nested_weights.cache_clear()
    np.testing.assert_array_equal(once, cells.draws(CONFIG))
    assert not np.array_equal(once, cells.draws(ScoringConfig(bootstrap=1000, seed=1)))


def test_more_dialogues_narrow_the_interval():
    rng = np.random.default_rng(3)
    widths = []
    for dialogues in (20, 80, 320):
        frame = rows(rng.random((dialogues, 5)) < 0.5)
        low, high = percentile(Cells.of(frame, ["em"]).draws(CONFIG))[:, 0]
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1] > 2.25 * widths[2]


def test_agrees_with_scipy():
    rng = np.random.default_rng(4)
    frame = rows(rng.random((50, 1)) < 0.3)
    ours = percentile(Cells.of(frame, ["em"]).draws(ScoringConfig(bootstrap=5000)))[:, 0]
    theirs = stats.bootstrap(
        (frame["em"],), np.mean, n_resamples=5000, method="percentile", rng=rng
    ).confidence_interval
    np.testing.assert_allclose(ours, theirs, atol=0.03)


def test_quotient_of_nothing_is_undefined():
    found = quotient(np.array([1.0, 0.0, 0.5]), np.array([2.0, 0.0, 0.0]))
    np.testing.assert_array_equal(found, [0.5, np.nan, np.nan])
    assert np.isnan(percentile(np.array([[np.nan], [np.nan]]))).all()
    assert percentile(np.array([[np.nan], [3.0]])).tolist() == [[3.0], [3.0]]


def test_sign_flips_agree_with_scipy():
    differences = np.random.default_rng(5).normal(0.4, 1, size=40)
    theirs = stats.permutation_test(
        (differences, np.zeros(40)),
        lambda x, y, axis: np.sum(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=0,
    ).pvalue
    assert sign_flip(differences, 20_000, seed=0) == pytest.approx(theirs, abs=0.01)


def test_sign_flips_on_few_skeletons_are_exact_in_the_limit():
    # All of 6 differences equal: only all-plus and all-minus reach the sum, 2 of 64 signs.
    assert sign_flip(np.ones(6), 50_000, seed=0) == pytest.approx(2 / 64, abs=0.004)


def test_sign_flips_of_no_difference():
    assert sign_flip(np.zeros(9), 99, seed=0) == 1
    assert sign_flip(np.ones(200), 99, seed=0) == pytest.approx(1 / 100)


def test_cells_add_up_by_skeleton():
    frame = pd.concat([rows(np.arange(10).reshape(5, 2), seed, of_skeleton=2) for seed in (0, 1)])
    cells = Cells.of(frame, ["em"])
    assert cells.by_skeleton()[:, :, 0].tolist() == [[6, 22, 17]] * 2
    assert (cells.skeletons, cells.dialogues) == (3, 5)


def test_p_values_are_uniform_when_there_is_no_difference():
    rng = np.random.default_rng(6)
    found = [sign_flip(rng.normal(size=30), 199, seed=0) for _ in range(400)]
    assert stats.kstest(found, "uniform").pvalue > 0.001
