"""Strict protocol: a forecast depends on the past of its own series and on nothing else."""

import pytest
import torch

from forecast_models import LENGTH, STRATEGIES, STRICT_BASELINES, WINDOW, series, trained
from ttt_memory.forecast.baselines import seasonal_naive

FORECASTERS = [("strategy", name) for name in STRATEGIES] + [
    ("baseline", name) for name in STRICT_BASELINES
]
WITH_MEMORY = [name for name in STRATEGIES if name != "no_memory"]
# Samples inside chunks, at and next to chunk boundaries; the second and the last sample.
CHANGES = [1, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW + 3, 4 * WINDOW, 5 * WINDOW, LENGTH - 1]


@pytest.mark.parametrize(("kind", "name"), FORECASTERS)
@torch.no_grad()
def test_a_forecast_never_sees_what_comes_later(kind: str, name: str) -> None:
    """Entry t - 1 forecasts position t: changing x[t:] leaves entries up to t - 1 bit-identical."""
    model, x = trained(kind, name), series(3, seed=5)
    before = model(x)
    for t in CHANGES:
        changed = x.clone()
        changed[:, t:] += 10 * torch.randn_like(changed[:, t:])
        after = model(changed)
        assert torch.equal(after[:, :t], before[:, :t]), f"x[{t}:] reached a forecast before it"
        used = first_use(name, t)
        if used < LENGTH:
            same = torch.equal(after[:, used], before[:, used])
            assert not same, f"forecast after x[{used}] ignores x[{t}]"


def first_use(name: str, t: int) -> int:
    """The first forecast that uses x[t]: the next one, or where there is a season, a season on."""
    ago = seasonal_naive.OPTIONS["period"] - 1
    return t + ago if name == "seasonal_naive" and t >= ago else t


@pytest.mark.parametrize("name", WITH_MEMORY)
@torch.no_grad()
def test_older_samples_reach_a_forecast_through_the_memory(name: str) -> None:
    model, x = trained("strategy", name), series(2, seed=6)
    changed = x.clone()
    changed[:, :WINDOW] += 1
    difference = (model(changed) - model(x)).abs()
    assert difference[:, 3 * WINDOW :].max() > 1e-6


@torch.no_grad()
def test_without_memory_a_forecast_sees_its_window_and_no_more() -> None:
    model, x = trained("strategy", "no_memory"), series(2, seed=7)
    t = 4 * WINDOW + 3
    outside, inside = x.clone(), x.clone()
    outside[:, : t - WINDOW + 1] += 3
    inside[:, t - WINDOW + 1] += 3
    assert torch.equal(model(outside)[:, t], model(x)[:, t])
    assert not torch.equal(model(inside)[:, t], model(x)[:, t])


@pytest.mark.parametrize(("kind", "name"), FORECASTERS)
@torch.no_grad()
def test_a_batch_is_its_series_one_by_one(kind: str, name: str) -> None:
    model, x = trained(kind, name), series(5, seed=8)
    together = model(x)
    alone = torch.cat([model(row.unsqueeze(0)) for row in x])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("kind", "name"), FORECASTERS)
@torch.no_grad()
def test_nothing_is_carried_from_one_series_to_the_next(kind: str, name: str) -> None:
    model, first, second = trained(kind, name), series(2, seed=9), series(2, seed=10)
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    fresh = model(second)
    model(first)
    assert torch.equal(model(second), fresh)
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize("name", STRATEGIES)
@torch.no_grad()
def test_what_follows_a_series_does_not_change_it(name: str) -> None:
    """A series that ends inside a chunk has the forecasts of the longer series that it begins."""
    model, x = trained("strategy", name), series(2, seed=11)
    for length in (WINDOW - 1, WINDOW, 2 * WINDOW + 5):
        torch.testing.assert_close(model(x[:, :length]), model(x)[:, :length], atol=1e-6, rtol=0)
