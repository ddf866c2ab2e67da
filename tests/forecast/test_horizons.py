"""Forecasts at several horizons: what each is of, that none looks ahead, and what is scored."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from forecast_models import (
    RECIPE,
    SMALL,
    STRATEGIES,
    STRICT_BASELINES,
    TRAINING,
    WINDOW,
    assert_steps_as_alone,
    dataset,
    needs_package,
    series,
    split,
)
from table_files import frame, table
from ttt_memory import options
from ttt_memory.errors import UserError
from ttt_memory.forecast.config import EntryConfig, ForecastConfig
from ttt_memory.forecast.config_checks import problems
from ttt_memory.forecast.experiment import Experiment, run
from ttt_memory.forecast.forecaster import Task, build
from ttt_memory.forecast.forecaster_checks import check_forecaster
from ttt_memory.forecast.loss import mse
from ttt_memory.forecast.published.titan import PublishedTitan
from ttt_memory.forecast.seeds.probe import together
from ttt_memory.forecast.seeds.run import Run
from ttt_memory.forecast.seeds.stack import Stack
from ttt_memory.forecast.series.config import Dataset, SineDataset
from ttt_memory.forecast.series.dataset import Series, Split
from ttt_memory.forecast.series.make import make
from ttt_memory.forecast.trial import try_out

HORIZONS = (1, 3, 11)  # less than a window, and more
TASK = Task(WINDOW, 2, True, RECIPE, HORIZONS)
# A floor knows the next sample alone.
FORECASTERS = [("strategy", name) for name in STRATEGIES] + [
    ("baseline", name) for name in STRICT_BASELINES if name != "floor"
]
FITTED = ["last_value", "seasonal_naive", "ar_ridge", "online_rls"]
OPTIONS = {"online_rls": {"precisions": [0.1, 10.0]}, "seasonal_naive": {"period": 5}}


def forecaster(kind: str, name: str, task: Task = TASK, **more: object) -> nn.Module:
    """A forecaster, fitted if it is one that is."""
    torch.manual_seed(0)
    entry = EntryConfig(file=name, options=OPTIONS.get(name, {}) | more)
    model = build(name, entry, kind, task, SMALL)
    if hasattr(model, "fit"):
        model.fit(dataset().splits["train"], dataset().splits["valid"])
    return model.eval()


@pytest.mark.parametrize(("kind", "name"), FORECASTERS)
def test_no_horizon_sees_what_comes_later(kind: str, name: str) -> None:
    """Changing x[t:] leaves what is forecast before t bit-identical, and changes what follows."""
    needs_package(name)
    model, x = forecaster(kind, name), series(2, seed=5)
    check_forecaster(model, TASK, name)
    model.requires_grad_(False)
    before = model(x)
    assert before.shape == (2, x.shape[1], 3)
    for t in (1, WINDOW, WINDOW + 2, 2 * WINDOW + 3, 3 * WINDOW + 10, x.shape[1] - 1):
        changed = x.clone()
        changed[:, t:] += 10 * torch.randn_like(changed[:, t:])
        after = model(changed)
        assert torch.equal(after[:, :t], before[:, :t]), f"x[{t}:] reached a forecast before it"
        different = (after[:, t:] != before[:, t:]).any(1).any(0)
        # A season on, the first forecast that uses a sample may be past the end.
        assert different.all() or (name == "seasonal_naive" and t == x.shape[1] - 1)


@pytest.mark.parametrize("name", FITTED)
@torch.no_grad()
def test_a_horizon_is_forecast_as_if_it_were_alone(name: str) -> None:
    """Bit by bit, for what is fitted to data."""
    part = split(3, seed=9)
    found = forecaster("baseline", name)(part.inputs)
    for place, horizon in enumerate(HORIZONS):
        alone = forecaster("baseline", name, Task(WINDOW, 2, True, RECIPE, (horizon,)))
        assert torch.equal(found[..., place], alone(part.inputs)[..., 0])


@pytest.mark.parametrize("period", [1, 3, 4, 7, 50])
def test_the_seasonal_naive_forecast_is_the_last_known_value_of_the_same_place(period: int) -> None:
    part = split(2)
    found = forecaster("baseline", "seasonal_naive", period=period)(part.inputs)
    for t in range(part.target.shape[1]):
        for place, horizon in enumerate(HORIZONS):
            known = [s for s in range(t + 1) if (t + horizon - s) % period == 0]
            expected = part.target[:, known[-1] if known else t]
            assert torch.equal(found[:, t, place], expected)


@pytest.mark.parametrize("forgetting", [1.0, 0.97])
@torch.no_grad()
def test_online_weights_learn_from_a_target_when_it_is_known(forgetting: float) -> None:
    """At t, least squares over the windows that ended at t - h and before, weighted by age."""
    model = forecaster("baseline", "online_rls", precisions=[2.0], forgetting=[forgetting])
    part = split(1, seed=9)
    found, target = model(part.inputs)[0], part.target[0].double().numpy()
    views = model._views(part.inputs)[0].numpy()
    for place, horizon in enumerate(HORIZONS):
        for t in (WINDOW, WINDOW + 4, WINDOW + horizon, 40):
            origins = np.arange(WINDOW - 1, t - horizon + 1)
            weight = forgetting ** np.arange(len(origins) - 1, -1, -1.0)
            kept, x = 2.0 * forgetting ** len(origins), views[origins]
            gram = (x.T * weight) @ x + kept * np.eye(x.shape[1])
            moment = (x.T * weight) @ target[origins + horizon]
            solution = np.linalg.solve(gram, moment + kept * model.start[place].numpy())
            assert found[t, place].item() == pytest.approx(views[t] @ solution, abs=1e-5)


@torch.no_grad()
def test_the_change_from_the_last_value_is_forecast_at_every_horizon() -> None:
    x = series(2)
    for kind, name in (("strategy", "mesa"), ("baseline", "lstm"), ("baseline", "attention")):
        model = forecaster(kind, name)
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([0.0, 1.0, 2.0]))
        expected = x[:, :, -1:] + model.head.bias
        torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_the_published_forecaster_has_an_output_for_each_horizon() -> None:
    """Each is what the same forecaster says with that output alone."""
    sizes = {"window": 4, "persistent": 2, "hidden": 6, "ffn": 16, "dropout": 0.0}
    whole, x = PublishedTitan(1, 8, **sizes, horizons=3).eval(), torch.randn(2, 22, 1)
    found, _ = whole(x, whole.start())
    assert found.shape == (2, 22, 3)
    assert not found[:, :3].any()
    alone = PublishedTitan(1, 8, **sizes).eval()
    for place in range(3):
        state = whole.state_dict()
        for name in ("head.weight", "head.bias"):
            state[name] = state[name][place : place + 1]
        alone.load_state_dict(state)
        torch.testing.assert_close(alone(x, whole.start())[0][..., 0], found[..., place])


def test_the_loss_is_the_mean_over_horizons_of_what_is_scored() -> None:
    part = split(3)
    part.scored[:, 20:24] = False
    forecast = torch.randn(*part.target.shape, 3)
    errors = []
    for place, horizon in enumerate(HORIZONS):
        squares = [
            (forecast[row, t, place] - part.target[row, t + horizon]) ** 2
            for row in range(3)
            for t in range(WINDOW - 1, part.target.shape[1] - horizon)
            if part.scored[row, t + horizon]
        ]
        errors.append(torch.stack(squares).mean())
    torch.testing.assert_close(mse(forecast, part, TASK), torch.stack(errors).mean())


def test_one_horizon_of_one_sample_is_what_there_was_before() -> None:
    """Bit by bit the formula of a study without horizons, for one model and for a stack."""
    one = Task(WINDOW, 2, True)
    for shape in ((3,), (2, 3)):
        whole = split(3)
        parts = (whole.inputs, whole.target, whole.scored)
        part = Split(*(each.expand(*shape, *each.shape[1:]) for each in parts), whole.origins)
        forecast = torch.randn(*part.target.shape, 1)
        counted = part.scored[..., WINDOW:]
        error = forecast[..., WINDOW - 1 : -1, 0] - part.target[..., WINDOW:]
        expected = (error.square() * counted).sum((-2, -1)) / counted.sum((-2, -1))
        assert torch.equal(mse(forecast, part, one), expected)


def outcome(name: str, data: Dataset, made: Series) -> list[dict]:
    """The rows of the forecasts of a fitted baseline."""
    cpu, entry = torch.device("cpu"), EntryConfig(file=name)
    wanted = Experiment("mine", name, "baseline", (0,), entry, data, SMALL, TRAINING, cpu)
    ((_, found),) = run(wanted, made)
    assert np.mean([row["mse"] for row in found.forecasts]) == pytest.approx(found.test_mse)
    return found.forecasts


@pytest.mark.parametrize("source", ["sine", "table"])
def test_every_horizon_is_scored_on_the_same_targets(tmp_path: Path, source: str) -> None:
    if source == "sine":
        data = SineDataset(series=20, length=60, context_window=8, horizons=HORIZONS)
        assert data.first_scored == WINDOW - 1 + 11
        scored = 2 * [60 - 18]
    else:
        sizes = {"length": 40, "context_window": 8, "horizons": HORIZONS, "scored_from": 20}
        data = table(tmp_path, frame(400), **sizes)
        # Every hour of the test part once, from its first one on.
        scored = [20, 20]
    rows = outcome("last_value", data, make(data))
    assert [row["horizon"] for row in rows] == [h for h in HORIZONS for _ in scored]
    found = {}
    for row in rows:
        assert row["first"] == data.context_window - 1 + row["horizon"]
        places = row["first"] + np.flatnonzero(row["scored"])
        truth = row["truth"][row["scored"]]
        found.setdefault(row["series"], []).append((places.tolist(), truth.tolist()))
        assert len(places) == scored[row["series"]]
    for one, *others in found.values():
        assert all(other == one for other in others)


def test_what_a_horizon_scores_is_the_forecast_made_so_many_samples_before() -> None:
    """The last value is off by the change over the horizon."""
    data = SineDataset(series=20, length=60, context_window=8, horizons=(2, 5))
    made = make(data)
    target = made.splits["test"].target.numpy()
    for row in outcome("last_value", data, made):
        own, horizon = target[row["series"]], row["horizon"]
        change = own[12:] - own[12 - horizon : -horizon]
        assert row["mse"] == pytest.approx(np.mean(change.astype(float) ** 2), rel=1e-6)
        assert row["mae"] == pytest.approx(np.mean(np.abs(change)), rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "name"), [("strategy", "mesa"), ("strategy", "no_memory"), ("baseline", "attention")]
)
def test_a_stack_of_seeds_forecasts_every_horizon_as_each_seed(kind: str, name: str) -> None:
    models = []
    for seed in (0, 1, 2):
        torch.manual_seed(seed)
        models.append(build(name, EntryConfig(file=name), kind, TASK, SMALL))
    forward, reason = together(models, WINDOW, 2)
    assert forward is not None, reason
    stack = Stack([Run(seed, model) for seed, model in enumerate(models)], forward)
    assert_steps_as_alone(stack, models, TASK)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"horizons": []}, ["datasets.s", "horizons", "at least 1"]),
        ({"horizons": [0, 1]}, ["datasets.s: found horizons [0, 1]", "from 1 to 34"]),
        ({"horizons": [3, 1]}, ["found horizons [3, 1]", "ascend"]),
        ({"horizons": [2, 2]}, ["found horizons [2, 2]", "distinct"]),
        ({"horizons": [1, 35]}, ["found horizons [1, 35]", "from 1 to 34"]),
        ({"horizons": [1.5]}, ["horizons", "integer"]),
        (
            {"horizons": [1, 5], "scored_from": 9},
            ["found scored_from 9", "expected at least context_window 6 - 1 + the largest", "= 10"],
        ),
    ],
)
def test_horizons_that_do_not_fit_are_refused(changes: dict, words: list[str]) -> None:
    waves = {"source": "sine", "length": 40, "context_window": 6, **changes}
    with pytest.raises(UserError) as error:
        options.validate(ForecastConfig, {"datasets": {"s": waves}}, "forecast")
    for word in words:
        assert word in str(error.value)


def test_the_largest_horizon_has_one_target() -> None:
    data = SineDataset(series=20, length=20, context_window=8, horizons=(12,))
    assert data.problem() is None
    assert {len(row["truth"]) for row in outcome("last_value", data, make(data))} == {1}


def test_the_same_series_with_other_horizons_is_scored_on_the_same_samples() -> None:
    waves = {"source": "sine", "length": 100}
    datasets = {"near": waves, "far": {**waves, "horizons": [1, 30]}}
    ((key, problem),) = problems(ForecastConfig.model_validate({"datasets": datasets}))
    assert key == "datasets.far.scored_from"
    assert problem.endswith("such as scored_from: 45")
    datasets = {name: {**data, "scored_from": 45} for name, data in datasets.items()}
    assert not list(problems(ForecastConfig.model_validate({"datasets": datasets})))


def test_a_floor_beyond_the_next_sample_is_refused() -> None:
    waves = {"source": "sine", "length": 100}
    datasets = {"near": waves, "far": {**waves, "seed": 1, "horizons": [1, 24]}}
    study = {"datasets": datasets, "baselines": {"best": "floor"}}
    ((key, problem),) = problems(ForecastConfig.model_validate(study))
    assert key == "baselines.best"
    assert "'far' asks for horizons [1, 24]" in problem
    study["baselines"] = {"best": {"file": "floor", "datasets": ["near"]}}
    assert not list(problems(ForecastConfig.model_validate(study)))


MINE = """
from torch import nn


class Mine(nn.Module):
    protocol = "strict"

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(2, 1)

    def forward(self, inputs):
        return self.head(inputs)[..., 0]


def build(task, config, options):
    return Mine()
"""


def test_a_file_that_returns_one_forecast_is_for_one_horizon(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MINE, encoding="utf-8")
    waves = {"source": "sine", "length": 100}
    study = {"baselines": {"mine": str(path)}}
    one = {"datasets": {"near": waves, "far": {**waves, "horizons": [24]}}}
    try_out(ForecastConfig.model_validate(study | one))
    several = {"datasets": {"near": waves, "far": {**waves, "horizons": [1, 24]}}}
    message = r"^forecast\.baselines\.mine: baseline 'mine': forecasts are .* 1\], expected .* 2\]"
    with pytest.raises(UserError, match=message):
        try_out(ForecastConfig.model_validate(study | several))
    several["baselines"] = {"mine": {"file": str(path), "datasets": ["near"]}}
    try_out(ForecastConfig.model_validate(several))


class Peeks(nn.Module):
    """The last value, and at one horizon the value after it."""

    protocol = "strict"

    def __init__(self, place: int):
        super().__init__()
        self.place = place

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        found = inputs[:, :, -1:].repeat(1, 1, 3)
        found[..., self.place] = inputs[:, :, -1].roll(-1, 1)
        return found


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_forecaster_that_looks_ahead_at_one_horizon_is_refused(place: int) -> None:
    with pytest.raises(UserError, match="peeks: the forecast made at sample 0 changes"):
        check_forecaster(Peeks(place), TASK, "peeks")
