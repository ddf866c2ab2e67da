"""The best possible forecasts, against sums over every hidden path written out."""

import itertools
import math

import numpy as np
import pytest
import torch

from ttt_memory.forecast.config import EntryConfig, ForecastConfig, ModelConfig
from ttt_memory.forecast.config_checks import problems
from ttt_memory.forecast.floors.sine import NOISE, SineFloor
from ttt_memory.forecast.floors.switch import SwitchFloor
from ttt_memory.forecast.forecaster import Task, build
from ttt_memory.forecast.forecaster_checks import check_forecaster
from ttt_memory.forecast.series.config import SineDataset, SwitchDataset
from ttt_memory.forecast.series.make import make
from ttt_memory.forecast.series.switch import long_run, regimes, transitions

TINY = SwitchDataset(
    source="switch", series=10, phases=5, slowest=1, fastest=2, switch=0.2, drift=0.3, noise=0.5,
    length=40, context_window=4, scored_from=4, epochs=1,
)  # fmt: skip


def by_paths(seen: np.ndarray) -> float:
    """The mean of the sample after `seen` [n], by every path of the hidden chain."""
    states, matrix = regimes(TINY), transitions(TINY)
    start, total, weighted = long_run(matrix), 0.0, 0.0
    for path in itertools.product(range(len(states)), repeat=len(seen) + 1):
        chance = start[path[0]]
        for before, after in itertools.pairwise(path):
            chance *= matrix[before, after]
        for first in range(TINY.phases):
            moves = np.cumsum([first, *(states[state][0] for state in path[1:])])
            waves = np.sin(2 * np.pi * moves / TINY.phases)
            likely = np.exp(-((seen - waves[:-1]) ** 2).sum() / (2 * TINY.noise**2))
            total, weighted = total + chance * likely, weighted + chance * likely * waves[-1]
    return weighted / total


def test_the_filter_agrees_with_a_sum_over_every_path() -> None:
    row = make(TINY).splits["test"].target[:1, :8].double()
    floor = SwitchFloor(TINY)
    past, window = floor.past(row)[0], floor.window(row, 3)[0]
    for t in (0, 1, 2, 3):
        assert past[t].item() == pytest.approx(by_paths(row[0, : t + 1].numpy()), abs=1e-9)
    for t in (1, 2, 5):
        seen = row[0, max(0, t - 2) : t + 1].numpy()
        assert window[t].item() == pytest.approx(by_paths(seen), abs=1e-9)


def test_the_chain_keeps_its_long_run_distribution_and_leaves_no_state_out() -> None:
    matrix, kept = transitions(TINY), long_run(transitions(TINY))
    np.testing.assert_allclose(matrix.sum(1), 1)
    np.testing.assert_allclose(kept @ matrix, kept, atol=1e-12)
    assert kept.min() > 0


def test_no_recipe_is_forecast_better_from_the_window_than_from_the_past() -> None:
    data = SwitchDataset(source="switch", series=40, length=200, noise=0.5)
    part = make(data).splits["test"]
    found = {}
    for sees in ("window", "past"):
        entry = EntryConfig(file="floor", options={"sees": sees})
        model = build("f", entry, "baseline", Task(16, 1, True, data), ModelConfig())
        made = model(part.inputs)[..., 0]
        found[sees] = (made[:, 39:-1] - part.target[:, 40:]).square().mean().item()
    last = (part.target[:, 39:-1] - part.target[:, 40:]).square().mean().item()
    # The noise alone is 0.25.
    assert 0.25 * 0.8 < found["past"] < 0.98 * found["window"] < last


def test_series_are_made_again_from_their_seed_and_change_their_frequency() -> None:
    data = SwitchDataset(source="switch", series=20, length=400, noise=0.001, switch=0.02)
    first, again = make(data).splits["train"], make(data).splits["train"]
    assert torch.equal(first.target, again.target)
    # Zero crossings of the first and the second half differ far more than those of one frequency.
    signs = first.target.sign()
    crossings = (signs[:, 1:] != signs[:, :-1]).float()
    halves = crossings[:, :200].sum(1) - crossings[:, 200:].sum(1)
    assert halves.abs().mean() > 5


def test_the_sine_floor_agrees_with_a_finer_grid_written_out() -> None:
    data = SineDataset(series=30, length=40)
    row = make(data).splits["test"].target[:1].double()
    floor = SineFloor(data)
    for size, made in ((40, floor.past(row)[0]), (8, floor.window(row, 8)[0])):
        for t in (7, 20, 38):
            seen = row[0, max(0, t + 1 - size) : t + 1].numpy()
            assert made[t].item() == pytest.approx(sine_by_grid(data, seen), abs=2e-3)


def sine_by_grid(data: SineDataset, seen: np.ndarray) -> float:
    rates = 1 / (1 + 7 * np.arange(data.series) / data.series)
    phases = np.arange(1500) * 2 * math.pi / 1500
    angle = phases[:, None, None] + rates[:, None] * np.arange(len(seen) + 1)
    waves = np.sin(angle)
    errors = ((seen - waves[..., :-1]) ** 2).sum(-1)
    logs = np.stack([-errors / (2 * e**2) - len(seen) * np.log(e) for e in NOISE])
    weight = np.exp(logs - logs.max()).sum(0)
    return float((weight * waves[..., -1]).sum() / weight.sum())


@pytest.mark.parametrize("sees", ["window", "past"])
@pytest.mark.parametrize("data", [SineDataset(series=30), TINY], ids=["sine", "switch"])
def test_a_floor_sees_no_later_sample(sees: str, data: SineDataset | SwitchDataset) -> None:
    entry = EntryConfig(file="floor", options={"sees": sees})
    task = Task(4, 1, True, data)
    check_forecaster(build("f", entry, "baseline", task, ModelConfig()), task, "floor")


def test_a_floor_needs_a_dataset_whose_recipe_is_known() -> None:
    arrays = {"source": "arrays", "train": __file__, "test": __file__}
    study = {"datasets": {"mine": arrays, "waves": {"source": "sine"}}}
    alone = {"file": "floor", "datasets": ["waves"]}
    for entry, expected in (("floor", ["baselines.best"]), (alone, [])):
        config = ForecastConfig.model_validate({**study, "baselines": {"best": entry}})
        assert [key for key, _ in problems(config)] == expected
        assert ("best" in config.of_dataset("mine")) == bool(expected)
    with pytest.raises(ValueError, match=r"baselines\.best\.datasets: found 'wave'"):
        ForecastConfig.model_validate(
            {**study, "baselines": {"best": {"file": "floor", "datasets": ["wave"]}}}
        )
