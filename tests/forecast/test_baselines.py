"""Baselines against textbook solutions, and their numbers of parameters."""

import numpy as np
import pytest
import torch

from forecast_models import BASELINES, SMALL, TASK, WINDOW, dataset, split
from ttt_memory.errors import UserError
from ttt_memory.forecast.config import EntryConfig
from ttt_memory.forecast.forecaster import Task, build, parameters


def baseline(name: str, **options: object) -> torch.nn.Module:
    return build(name, EntryConfig(file=name, options=options), "baseline", TASK, SMALL)


def windows(inputs: torch.Tensor, target: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Every window of samples and the target after it, made with loops."""
    x, y = [], []
    for row, truth in zip(inputs.numpy(), target.numpy(), strict=True):
        for t in range(WINDOW, row.shape[0]):
            x.append(row[t - WINDOW : t].T.ravel())
            y.append(truth[t])
    return np.array(x, float), np.array(y, float)


def test_the_last_value_is_the_last_value() -> None:
    part = split(2)
    assert torch.equal(baseline("last_value")(part.inputs)[:, :-1], part.target[:, :-1])


@pytest.mark.parametrize("period", [1, 7, 24, 99])
def test_the_seasonal_naive_forecast_is_the_value_a_period_ago(period: int) -> None:
    part = split(2)
    found = baseline("seasonal_naive", period=period)(part.inputs)
    target = part.target.numpy()
    for t in range(target.shape[1] - 1):
        ago = t + 1 - period
        expected = target[:, ago] if ago >= 0 else target[:, t]
        np.testing.assert_array_equal(found[:, t], expected)


def test_ridge_solves_the_centred_normal_equations() -> None:
    model = baseline("ar_ridge", penalties=[3.0])
    train = dataset().splits["train"]
    model.fit(train, dataset().splits["valid"])
    x, y = windows(train.inputs, train.target)
    centred, moved = x - x.mean(0), y - y.mean()
    weight = np.linalg.solve(centred.T @ centred + 3 * np.eye(x.shape[1]), centred.T @ moved)
    part = split(2, seed=9)
    expected = (windows(part.inputs, part.target)[0] - x.mean(0)) @ weight + y.mean()
    found = model(part.inputs)[:, WINDOW - 1 : -1].detach().numpy().ravel()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_ridge_chooses_its_penalty_by_validation() -> None:
    train, valid = dataset().splits["train"], dataset().splits["valid"]
    errors = {}
    for penalty in (0.01, 10.0, 1e6):
        model = baseline("ar_ridge", penalties=[penalty])
        model.fit(train, valid)
        error = model(valid.inputs)[:, WINDOW - 1 : -1] - valid.target[:, WINDOW:]
        errors[penalty] = error.square().mean().item()
    chosen = baseline("ar_ridge", penalties=list(errors))
    chosen.fit(train, valid)
    error = chosen(valid.inputs)[:, WINDOW - 1 : -1] - valid.target[:, WINDOW:]
    assert error.square().mean().item() == pytest.approx(min(errors.values()), rel=1e-5)


@pytest.mark.parametrize("forgetting", [1.0, 0.97])
def test_online_rls_is_weighted_least_squares_with_a_prior(forgetting: float) -> None:
    model = baseline("online_rls", precisions=[2.0], forgetting=[forgetting])
    model.fit(dataset().splits["train"], dataset().splits["valid"])
    part = split(1, seed=9)
    found = model(part.inputs)[0]
    x, y = windows(part.inputs, part.target)
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    prior = model.start.detach().numpy()
    for t in (WINDOW, WINDOW + 1, WINDOW + 12, 40):
        seen = t - WINDOW + 1  # targets known at t
        weight = forgetting ** np.arange(seen - 1, -1, -1.0)
        kept = 2.0 * forgetting**seen
        gram = (x[:seen].T * weight) @ x[:seen] + kept * np.eye(x.shape[1])
        solution = np.linalg.solve(gram, (x[:seen].T * weight) @ y[:seen] + kept * prior)
        assert found[t].item() == pytest.approx(x[seen] @ solution, abs=1e-5)


def test_the_lstm_has_the_budget_of_the_model_without_memory() -> None:
    model = build("m", EntryConfig(file="no_memory"), "strategy", TASK, SMALL)
    budget = parameters(model)
    matched = parameters(baseline("lstm"))
    assert abs(matched - budget) < 0.05 * budget
    narrow = baseline("lstm", width=SMALL.width)
    assert narrow.lstm.hidden_size == SMALL.width


def test_attention_sees_its_window_and_its_persistent_tokens_only() -> None:
    torch.manual_seed(0)
    model, part = baseline("attention", persistent=3).eval(), split(2)
    changed = part.inputs.clone()
    changed[:, :20] += 1
    with torch.no_grad():
        before, after = model(part.inputs), model(changed)
    assert torch.equal(before[:, 20 + WINDOW :], after[:, 20 + WINDOW :])
    assert parameters(model) - parameters(baseline("attention")) == 2 * 3 * SMALL.width


@pytest.mark.parametrize("name", ["last_value", "online_rls", "seasonal_naive"])
def test_a_baseline_that_needs_the_targets_past_says_so(name: str) -> None:
    task = Task(context_window=WINDOW, channels=2, observed=False)
    with pytest.raises(UserError, match="observe_target"):
        build(name, EntryConfig(file=name), "baseline", task, SMALL)


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_forecasts_every_position(name: str) -> None:
    part = split(2)
    assert baseline(name)(part.inputs).shape == part.target.shape
