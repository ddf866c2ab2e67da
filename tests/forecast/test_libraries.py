"""Baselines of libraries: what they forecast, what they leave behind, and if they are missing."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from clone import ROOT
from forecast_models import (
    PACKAGES,
    SMALL,
    TASK,
    WINDOW,
    dataset,
    needs_package,
    series,
    split,
)
from presets import merged
from ttt_memory.errors import UserError
from ttt_memory.forecast import libraries
from ttt_memory.forecast.config import EntryConfig, ForecastConfig
from ttt_memory.forecast.config_checks import problems
from ttt_memory.forecast.forecaster import Task, build, parameters
from ttt_memory.forecast.loss import mse
from ttt_memory.forecast.series.config import TableDataset
from ttt_memory.forecast.series.dataset import Split
from ttt_memory.forecast.strategy import BASELINES, import_file

HOURLY = TableDataset(source="table", path="a.csv", time="t", target="y", length=60, stride=7)


def baseline(name: str, task: Task = TASK, **options: object) -> torch.nn.Module:
    needs_package(name)
    return build(name, EntryConfig(file=name, options=options), "baseline", task, SMALL)


@pytest.fixture
def arima() -> object:
    """The module of the file."""
    needs_package("auto_arima")
    return import_file("baseline", BASELINES / "auto_arima.py", BASELINES)


def test_a_baseline_says_before_any_job_which_extra_it_needs() -> None:
    config = ForecastConfig.model_validate({"baselines": {name: name for name in PACKAGES}})
    absent = {name: libraries.missing(package) for name, package in PACKAGES.items()}
    expected = {f"baselines.{name}": f"{name!r} {told}" for name, told in absent.items() if told}
    assert dict(problems(config)) == expected
    for told in filter(None, absent.values()):
        assert told.endswith("is not installed; install it with: pip install '.[baselines]'")


def test_the_preset_asks_for_both() -> None:
    overlay = yaml.safe_load((ROOT / "config" / "ett-libraries.yaml").read_text())
    config = ForecastConfig.model_validate(merged(overlay, preset="ett")["forecast"])
    assert {entry.file for entry in config.baselines.values()} >= PACKAGES.keys()
    absent = [name for name, package in PACKAGES.items() if libraries.missing(package)]
    for key, _ in problems(config):
        _, _, name = key.partition("baselines.")
        assert key == "datasets.ETTh1.path" or config.baselines[name].file in absent


@pytest.mark.parametrize("name", PACKAGES)
def test_so_does_its_job(name: str) -> None:
    if not (told := libraries.missing(PACKAGES[name])):
        pytest.skip(f"{PACKAGES[name]} is installed")
    with pytest.raises(UserError) as error:
        build(name, EntryConfig(file=name), "baseline", TASK, SMALL)
    assert str(error.value) == f"baseline {name} {told}"


def test_a_file_of_ones_own_names_a_package_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text('NEEDS_PACKAGE = "no_such_package"\ndef build(task, config, options): ...\n')
    config = ForecastConfig.model_validate({"baselines": {"mine": str(path)}})
    ((key, told),) = problems(config)
    assert key == "baselines.mine"
    assert told == f"'{path}' needs the package no_such_package, which is not installed"


# Run by itself, since a library may speak when it is imported.
TRIAL = """
import sys

import torch
from forecast_models import SMALL, TRAINING, WINDOW, dataset
from ttt_memory.forecast.config import EntryConfig
from ttt_memory.forecast.experiment import Experiment, run
from ttt_memory.forecast.series.config import SineDataset


def told(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        print(f"asked the network: {event} {arguments}", file=sys.stderr)


sys.addaudithook(told)
name, cpu = sys.argv[1], torch.device("cpu")
recipe = SineDataset(context_window=WINDOW, length=45, epochs=2)
entry = EntryConfig(file=name)
wanted = Experiment("waves", name, "baseline", (0, 1), entry, recipe, SMALL, TRAINING, cpu)
for seed, outcome in run(wanted, dataset()):
    print("found", seed, outcome.test_mse, outcome.forecasts[0]["parameters"])
"""


@pytest.mark.parametrize("name", PACKAGES)
def test_they_train_and_forecast_quietly_and_leave_nothing(name: str, tmp_path: Path) -> None:
    needs_package(name)
    result = subprocess.run(
        [sys.executable, "-c", TRIAL, name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert result.stderr == ""
    assert result.returncode == 0
    assert list(tmp_path.iterdir()) == []
    found = [line.split() for line in result.stdout.splitlines() if line.startswith("found")]
    assert [int(seed) for _, seed, *_ in found] == [0, 1]
    variance = dataset().splits["test"].target.var().item()
    assert all(float(error) < variance for *_, error, _ in found)
    assert all(int(count) > 0 for *_, count in found)
    own = (f"{name}: ", "baseline ", "found ")  # lines of this project
    assert all(line.startswith(own) for line in result.stdout.splitlines()), result.stdout


# --- statsforecast -------------------------------------------------------------------------------


@pytest.mark.parametrize("season", [1, 6])
def test_arima_forecasts_what_the_library_forecasts_from_each_past(season: int) -> None:
    """The filter for all series against `forward` on every past, one by one."""
    model = baseline("auto_arima", replace(TASK, horizons=(1, 2, 7)), season=season)
    wave = season > 1 and torch.sin(torch.arange(45) * 2 * torch.pi / season).view(1, -1)
    parts = [_waved(dataset().splits[name], wave) for name in ("train", "valid", "test")]
    model.fit(*parts[:2])
    inputs = parts[2].inputs
    found, first = model(inputs), 4 * season + 8
    assert found.shape == (*inputs.shape[:2], 3)
    for row, made in zip(inputs[:, :, -1], found, strict=True):
        expected = model.by_forward(row, first)
        np.testing.assert_allclose(made[first:], expected, rtol=1e-4, atol=1e-4)


def _waved(part: Split, wave: torch.Tensor | bool) -> Split:
    inputs = part.inputs.clone()
    inputs[..., -1] = inputs[..., -1] / 5 + wave
    return Split(inputs, inputs[..., -1], part.scored, part.origins)


def test_arima_is_a_random_walk_before_it_is_fitted() -> None:
    part = split(2)
    torch.testing.assert_close(baseline("auto_arima")(part.inputs)[..., 0], part.target)


def test_arima_keeps_the_fit_with_the_smallest_validation_error() -> None:
    train, valid = dataset().splits["train"], dataset().splits["valid"]
    errors = []
    for row in (0, 6, 11):
        model, one = baseline("auto_arima"), slice(row, row + 1)
        model.fit(Split(train.inputs[one], train.target[one], train.scored[one], ("",)), valid)
        errors.append(mse(model(valid.inputs), valid, TASK).item())
    chosen = baseline("auto_arima", candidates=3)
    chosen.fit(train, valid)
    assert mse(chosen(valid.inputs), valid, TASK).item() == pytest.approx(min(errors))
    assert parameters(chosen) == len(chosen.library.model_["coef"])


@pytest.mark.parametrize(("stride", "lengths"), [(7, [60, 102]), (60, 8 * [60]), (0, 8 * [60])])
def test_windows_of_a_record_are_joined_again(
    arima: object, stride: int, lengths: list[int]
) -> None:
    long, short = series(1, 3, 102)[0], series(1, 4, 60)[0]
    rows = [short, *(long[start : start + 60] for start in range(0, 43, 7))]
    inputs = torch.stack(rows)
    part = Split(inputs, inputs[..., -1], torch.ones(8, 60, dtype=torch.bool), 8 * ("",))
    found = arima.records(part, stride)
    assert [len(record) for record in found] == lengths
    if stride == HOURLY.stride:
        np.testing.assert_array_equal(found[1], long[:, -1].double())
    spread = arima.stretches(part, stride, {"samples": 50, "candidates": 2})
    np.testing.assert_array_equal(spread[0], short[:, -1].double())
    np.testing.assert_array_equal(spread[1], long[-len(spread[1]) :, -1].double())


def test_arima_knows_the_stride_of_its_dataset() -> None:
    task = Task(WINDOW, 2, True, HOURLY)
    assert baseline("auto_arima", task).stride == HOURLY.stride
    assert baseline("auto_arima").stride == 0


# --- neuralforecast ------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_nhits_forecasts_what_the_library_forecasts_from_each_window(channels: int) -> None:
    """Each window by itself, as the library's own loader hands it over."""
    horizons = (1, 3)
    task = Task(WINDOW, channels, True, horizons=horizons)
    model = baseline("nhits", task, hidden=16).eval()
    x = torch.randn(2, 3 * WINDOW, channels)
    with torch.no_grad():
        found = model(x)
        for end in range(WINDOW, x.shape[1] + 1):
            window = x[:, end - WINDOW : end]
            batch = {
                "insample_y": window[..., -1:],
                "insample_mask": torch.ones(2, WINDOW, 1),
                "hist_exog": window[..., :-1] if channels > 1 else None,
                "futr_exog": None,
                "stat_exog": None,
            }
            expected = model.model(batch)[:, [h - 1 for h in horizons], 0]
            torch.testing.assert_close(found[:, end - 1], expected)


def test_nhits_begins_differently_with_each_seed() -> None:
    def start(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in baseline("nhits", hidden=8).parameters()])

    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))


def test_nhits_has_the_sizes_of_the_library_unless_it_is_told_others() -> None:
    needs_package("nhits")
    from neuralforecast.models import NHITS

    theirs = NHITS(h=1, input_size=WINDOW, hist_exog_list=["a"])
    assert parameters(baseline("nhits")) == parameters(theirs)
    assert parameters(baseline("nhits", hidden=32)) < parameters(theirs) / 50


@pytest.mark.parametrize("name", PACKAGES)
def test_options_below_one_are_refused(name: str) -> None:
    option = next(iter(import_file("", BASELINES / f"{name}.py", BASELINES).OPTIONS))
    problem = f"baseline {name!r}: option {option} is 0, expected at least 1"
    with pytest.raises(UserError, match=problem):
        baseline(name, **{option: 0})
