"""Baselines against textbook solutions, and their numbers of parameters."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from forecast_models import (
    BASELINES,
    SMALL,
    TASK,
    WINDOW,
    dataset,
    needs_package,
    randomise,
    split,
)
from ttt_memory.errors import UserError
from ttt_memory.forecast.config import EntryConfig, ForecastConfig, ModelConfig
from ttt_memory.forecast.forecaster import Task, build, parameters
from ttt_memory.forecast.matching import matched_sizes
from ttt_memory.forecast.model.attention import WindowAttention
from ttt_memory.forecast.window_products import naive_window_products, window_products


def baseline(name: str, **options: object) -> torch.nn.Module:
    needs_package(name)
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
    assert torch.equal(baseline("last_value")(part.inputs)[:, :-1, 0], part.target[:, :-1])


@pytest.mark.parametrize("period", [1, 7, 24, 99])
def test_the_seasonal_naive_forecast_is_the_value_a_period_ago(period: int) -> None:
    part = split(2)
    found = baseline("seasonal_naive", period=period)(part.inputs)[..., 0]
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
    found = model(part.inputs)[:, WINDOW - 1 : -1, 0].detach().numpy().ravel()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_products_of_windows_are_those_of_every_window_written_out() -> None:
    part = split(5)
    part.scored[:, ::7] = False
    part.scored[2] = False
    shift = torch.tensor([0.3, -0.1], dtype=torch.float64)
    for data, horizon in ((part, 1), (part, 5), (split(3), 20), (split(3), 1)):
        found, expected = (
            products(data, WINDOW, shift, horizon)
            for products in (window_products, naive_window_products)
        )
        for name, tensor in vars(expected).items():
            torch.testing.assert_close(
                getattr(found, name), tensor, msg=lambda m, n=name: f"{n} {m}"
            )
    weight, bias = torch.randn(16, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    inputs = data.inputs.double() - shift
    x = inputs[:, :-1].unfold(1, WINDOW, 1).flatten(2)
    error = (x @ weight + bias - data.target[:, WINDOW:]).square().mean()
    torch.testing.assert_close(found.squared_error(weight, bias), error)


def test_ridge_chooses_its_penalty_by_validation() -> None:
    train, valid = dataset().splits["train"], dataset().splits["valid"]
    errors = {}
    for penalty in (0.01, 10.0, 1e6):
        model = baseline("ar_ridge", penalties=[penalty])
        model.fit(train, valid)
        error = model(valid.inputs)[:, WINDOW - 1 : -1, 0] - valid.target[:, WINDOW:]
        errors[penalty] = error.square().mean().item()
    chosen = baseline("ar_ridge", penalties=list(errors))
    chosen.fit(train, valid)
    error = chosen(valid.inputs)[:, WINDOW - 1 : -1, 0] - valid.target[:, WINDOW:]
    assert error.square().mean().item() == pytest.approx(min(errors.values()), rel=1e-5)


@pytest.mark.parametrize("forgetting", [1.0, 0.97])
def test_online_rls_is_weighted_least_squares_with_a_prior(forgetting: float) -> None:
    model = baseline("online_rls", precisions=[2.0], forgetting=[forgetting])
    model.fit(dataset().splits["train"], dataset().splits["valid"])
    part = split(1, seed=9)
    found = model(part.inputs)[0, :, 0]
    x, y = windows(part.inputs, part.target)
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    prior = model.start[0].detach().numpy()
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
    more = parameters(model) - parameters(baseline("attention"))
    assert more == SMALL.layers * 2 * 3 * SMALL.width


@pytest.mark.parametrize("persistent", [0, 3])
@pytest.mark.parametrize("window", [2, 5, 8])
def test_attention_in_one_pass_is_attention_to_each_window(window: int, persistent: int) -> None:
    """Forecasts and gradients, also before the first whole window."""
    torch.manual_seed(0)
    task, entry = Task(window, 2, True), EntryConfig(file="attention")
    entry.options["persistent"] = persistent
    model = build("attention", entry, "baseline", task, SMALL).double()
    randomise(model)
    x = split(2).inputs.double().requires_grad_()
    weight = torch.randn(2, x.shape[1], 1, dtype=torch.float64)
    found, expected = model(x), model.by_windows(x)
    torch.testing.assert_close(found, expected)
    inputs = [x, *model.parameters()]
    for one, other in zip(
        *(
            torch.autograd.grad((weight * part).sum(), inputs, materialize_grads=True)
            for part in (found, expected)
        ),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
    # It reaches back over its window, and no further.
    (seen,) = torch.autograd.grad(model(x)[:, 20].sum(), x)
    assert (seen.abs().sum((0, 2)) > 0).nonzero().flatten().tolist() == [*range(21 - window, 21)]


def test_banded_attention_is_attention_at_each_position() -> None:
    """The band of chunks against one position after another."""
    torch.manual_seed(0)
    attention = WindowAttention(SMALL, 5, reads=True).double()
    randomise(attention)
    stream, samples, read = (
        torch.randn(2, 3, 5, SMALL.width, dtype=torch.float64, requires_grad=True) for _ in range(3)
    )
    tokens = [part.flatten(1, 2) for part in (stream, samples, read)]
    found = attention(stream, samples, read).flatten(1, 2)
    expected = torch.stack([_attend(attention, *tokens, place) for place in range(15)], 1)
    torch.testing.assert_close(found, expected)
    inputs = [stream, samples, read, *attention.parameters()]
    for one, other in zip(
        *(torch.autograd.grad(part.square().sum(), inputs) for part in (found, expected)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def _attend(
    attention: WindowAttention,
    stream: torch.Tensor,
    samples: torch.Tensor,
    read: torch.Tensor,
    place: int,
) -> torch.Tensor:
    """What one position is given, [B, E], from tokens [B, T, E]."""
    query = attention.query(stream[:, place])
    keys, values = attention.sample(samples).chunk(2, -1)
    read_key, read_value = attention.read(read[:, place]).chunk(2, -1)
    heads = []
    for head, columns in enumerate(torch.arange(SMALL.width).chunk(SMALL.heads)):
        mine = query[:, columns] / len(columns) ** 0.5
        seen = range(max(0, place - 4), place + 1)
        scores = [
            *(
                (mine * keys[:, s, columns]).sum(-1) + attention.lag_bias[head, place - s]
                for s in seen
            ),
            *(mine @ token for token in attention.persistent[0, head]),
            (mine * read_key[:, columns]).sum(-1) + attention.read_bias[head, 0, 0],
        ]
        given = [
            *(values[:, s, columns] for s in seen),
            *(token.expand(len(stream), -1) for token in attention.persistent[1, head]),
            read_value[:, columns],
        ]
        shares = torch.softmax(torch.stack(scores, 1), 1)
        heads.append((shares.unsqueeze(-1) * torch.stack(given, 1)).sum(1))
    return attention.output(torch.cat(heads, -1))


@pytest.mark.parametrize("name", ["last_value", "online_rls", "seasonal_naive"])
def test_a_baseline_that_needs_the_targets_past_says_so(name: str) -> None:
    task = Task(context_window=WINDOW, channels=2, observed=False)
    with pytest.raises(UserError, match="observe_target"):
        build(name, EntryConfig(file=name), "baseline", task, SMALL)


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_forecasts_every_position(name: str) -> None:
    part = split(2)
    assert baseline(name)(part.inputs).shape == (*part.target.shape, 1)


@pytest.mark.parametrize(
    ("name", "kind"), [("no_memory", "strategy"), ("lstm", "baseline"), ("attention", "baseline")]
)
@pytest.mark.parametrize("other", ["titans_default", "mesa"])
def test_a_forecaster_gets_as_many_parameters_as_a_strategy(
    name: str, kind: str, other: str
) -> None:
    entry, task, sizes = EntryConfig(file=name, match=other), Task(16, 1, True), ModelConfig()
    wanted = parameters(build(other, EntryConfig(file=other), "strategy", task, sizes))
    found = matched_sizes(name, kind, entry, EntryConfig(file=other), task, sizes)
    assert parameters(build(name, entry, kind, task, found)) == pytest.approx(wanted, rel=0.03)
    assert found.width > sizes.width
    # Wider in proportion, not in its feed-forward part alone.
    assert found.ffn / found.width == pytest.approx(sizes.ffn / sizes.width, rel=0.35)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("ar_ridge", {}, "found match 'mesa', expected none, because its parameters do not depend"),
        ("lstm", {"width": 20}, "found match 'mesa', expected none"),
    ],
)
def test_a_forecaster_without_sizes_cannot_be_matched(name: str, options: dict, told: str) -> None:
    entry = EntryConfig(file=name, match="mesa", options=options)
    other, task = EntryConfig(file="mesa"), Task(16, 1, True)
    with pytest.raises(UserError, match=told):
        matched_sizes(name, "baseline", entry, other, task, ModelConfig())


@pytest.mark.parametrize("match", ["nobody", "mine", "wide"])
def test_a_match_names_a_strategy_with_sizes_of_its_own(match: str) -> None:
    mine, wide = ({"file": "no_memory", "match": name} for name in (match, "titans_default"))
    strategies = {"mine": mine, "wide": wide, "titans_default": "titans_default"}
    with pytest.raises(ValidationError, match=rf"strategies\.mine\.match: found '{match}'"):
        ForecastConfig.model_validate({"strategies": strategies})
