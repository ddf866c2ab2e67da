"""A strategy file that breaks its interface is refused in one line, before any training."""

from pathlib import Path

import pytest
import torch

from forecast_models import (
    RECIPE,
    SMALL,
    TASK,
    TRAINING,
    WINDOW,
    dataset,
    needs_package,
    train,
)
from strategy_files import GOOD, forecaster, refused
from ttt_memory import options
from ttt_memory.errors import UserError
from ttt_memory.forecast.config import (
    EntryConfig,
    ForecastConfig,
    ModelConfig,
    SineDataset,
    entry_of,
)
from ttt_memory.forecast.config_checks import problems
from ttt_memory.forecast.experiment import Experiment, run
from ttt_memory.forecast.forecaster import Task, build
from ttt_memory.forecast.forecaster_checks import check_forecaster
from ttt_memory.forecast.series.dataset import Split
from ttt_memory.forecast.strategy import BASELINES


def test_the_good_file_is_good(tmp_path: Path) -> None:
    model = forecaster(tmp_path, GOOD, rate=0.9)
    assert model(torch.zeros(2, 20, 2)).shape == (2, 20, 1)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("def apply_update(", "def update(", ["apply_update", "missing", "mine.py"]),
        (
            "compute_keys_values(memory, x)",
            "compute_keys_values(x)",
            ["compute_keys_values(x)", "expected compute_keys_values(memory, x)"],
        ),
        (
            "compute_surprise(memory, state, keys, values, gates)",
            "compute_surprise(memory, keys, state, values, gates)",
            ["compute_surprise(memory, keys, state, values, gates)", "in this order"],
        ),
        ("return memory.key(x), x", "return x", ["compute_keys_values", "pair"]),
        (
            "return memory.key(x), x",
            "return memory.key(x)[0], x",
            ["compute_keys_values", "keys", "expected [3, 5, width]"],
        ),
        (
            'return {"m": torch.zeros(1, emb_dim',
            'return {"m": torch.zeros(2, emb_dim',
            ["init_memory_state", "'m'", "[1, ...]"],
        ),
        (
            'return {"m": torch.zeros(1, emb_dim, emb_dim)}',
            "return 3",
            ["init_memory_state", "int", "dictionary"],
        ),
        ('return {"m": memory', 'return {"n": memory', ["apply_update", "'n'", "expected"]),
        (
            'state["m"].transpose(1, 2)\n',
            'state["m"][:, :, :3]\n',
            ["retrieve", "[3, 5, 3]", "expected [3, 5, 8]"],
        ),
        ("/ keys.shape[1]", "/ 0 * 0", ["compute_surprise", "NaN"]),
        ("/ keys.shape[1]", "+ undefined", ["compute_surprise", "NameError", "undefined"]),
        ("import torch\n", "import torch\nimport no_such_module\n", ["no_such_module"]),
        ("import torch\n", "import torch\ndef:\n", ["SyntaxError"]),
        (
            'surprise["m"]}',
            'surprise["m"].sum(0, keepdim=True)}',
            ["apply_update", "influence each other"],
        ),
        (
            "@ keys / keys.shape[1]",
            "@ keys.mean(0, keepdim=True)",
            ["compute_surprise", "influence each other"],
        ),
        (
            'return {"m": values.transpose(1, 2) @ keys / keys.shape[1]}',
            'return {"m": (values.transpose(1, 2) @ keys).mean(0)}',
            ["compute_surprise", "'m' is [8, 8]", "expected [3, ...]", "for each series"],
        ),
        (
            "return memory.key(x), x",
            "return memory.key(x - x.mean(0)), x",
            ["compute_keys_values", "influence each other"],
        ),
        (
            'queries @ state["m"].transpose(1, 2)',
            '(queries - queries.mean(0)) @ state["m"].transpose(1, 2)',
            ["retrieve", "influence each other"],
        ),
        ("def retrieve(", "def recall(", ["retrieve", "missing"]),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert old in GOOD
    refused(tmp_path, GOOD.replace(old, new), *words)


def test_queries_that_see_later_tokens_are_refused(tmp_path: Path) -> None:
    """Keys mixed within a chunk are queries too, unless `compute_queries` makes the queries."""
    mixed = GOOD.replace(
        "return memory.key(x), x", "k = memory.key(x)\n    return k - k.mean(1, True), x"
    )
    label = "strategy 'mine' on 'waves'"
    with pytest.raises(UserError, match=f"{label}: the forecast made at sample .* changes with"):
        check_forecaster(forecaster(tmp_path, mixed), TASK, label)
    own = mixed + "\n\ndef compute_queries(memory, x):\n    return memory.key(x)\n"
    check_forecaster(forecaster(tmp_path, own), TASK, label)


def test_a_strategy_that_changes_its_arguments_is_refused(tmp_path: Path) -> None:
    broken = GOOD.replace(
        'return {"m": memory.options["rate"] * state["m"] + surprise["m"]}',
        'surprise["m"] += state["m"]\n    state["m"].clamp_(-1, 1)\n    return surprise',
    ).replace(
        "torch.zeros(1, emb_dim, emb_dim)}", "nn.Parameter(torch.zeros(1, emb_dim, emb_dim))}"
    )
    refused(tmp_path, broken, "mine.py", "apply_update", "in place", "state")


def test_a_baseline_is_checked_before_it_trains(tmp_path: Path) -> None:
    """A wrong shape, NaN, and NaN that only the test series cause."""
    text = """
import torch


class Mine(torch.nn.Module):
    protocol = "strict"

    def fit(self, train, valid):
        pass

    def forward(self, x):
        return RESULT


def build(task, config, options):
    return Mine()
"""
    path = tmp_path / "mine.py"
    entry = EntryConfig(file=str(path))
    series = dataset()
    series.splits["test"].inputs[0, 20, 0] = 1e6
    data = SineDataset(context_window=WINDOW, length=45, epochs=1)
    cpu = torch.device("cpu")
    mine = Experiment("waves", "mine", "baseline", (0,), entry, data, SMALL, TRAINING, cpu)
    for result, words in {
        "x": r"forecasts are \[2, \d+, 2\], expected \[2, \d+, 1\]",
        "x[:, :, 0] / 0": "forecasts hold NaN",
        "torch.where(x[:, :, 0] > 1e5, torch.nan, x[:, :, 0])": "forecasts of the test series hold",
    }.items():
        path.write_text(text.replace("RESULT", result), encoding="utf-8")
        with pytest.raises(UserError, match=f"baseline 'mine' on 'waves', seed 0: {words}"):
            list(run(mine, series))


def test_options_are_checked(tmp_path: Path) -> None:
    refused(tmp_path, GOOD, "unknown option 'pace'", "rate, steps", pace=1)
    refused(tmp_path, GOOD, "option steps", "2.5", "int", steps=2.5)
    with pytest.raises(UserError, match=r"no such file .*gone\.py.* mesa"):
        build("mine", EntryConfig(file="gone.py"), "strategy", TASK, SMALL)
    with pytest.raises(UserError, match=r"one of .*lstm"):
        build("mine", EntryConfig(file="nothing"), "baseline", TASK, SMALL)


def test_nan_in_training_names_strategy_dataset_epoch_and_step(tmp_path: Path) -> None:
    """The memory turns NaN after two steps of training, which no check before training sees."""
    text = GOOD.replace(
        'return {"m": memory',
        'CALLS.append(1)\n    return {"m": (1 if len(CALLS) < FIRST else float("nan")) * memory',
    ).replace("\nOPTIONS", "\nCALLS, FIRST = [], 10**9\nOPTIONS")
    model = forecaster(tmp_path, text)
    written = model.layers[0].memory.strategy.functions["apply_update"].__globals__
    # Two steps of two layers with five writes each.
    written["FIRST"] = len(written["CALLS"]) + 25
    label = "strategy 'mine' on 'waves'"
    where = (
        r"'mine' on 'waves', seed 0, epoch 1, step 3: .*nan.*; apply_update of .*mine\.py returns"
    )
    with pytest.raises(UserError, match=where):
        train({0: model}, 3, label)


def test_an_exception_in_training_names_where(tmp_path: Path) -> None:
    text = GOOD.replace(
        '    return {"m": values',
        "    if memory.training and len(keys) == 4:\n"
        "        raise RuntimeError('too many')\n    return {\"m\": values",
    )
    model = forecaster(tmp_path, text)
    with pytest.raises(
        UserError, match=r"here, seed 0, epoch 1, step 1: strategy 'mine'.*too many"
    ):
        train({0: model}, 3, "here")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model": {"width": 15}}, ["heads is 2", "width 15"]),
        ({"seeds": [1, 1]}, ["seeds"]),
        ({"strategies": {"lstm": "mesa"}}, ["'lstm'", "both"]),
        ({"datasets": {"s": {"source": "sine", "length": 10}}}, ["datasets.s", "context_window"]),
        ({"training": {"learning_rate": -1}}, ["training.learning_rate", "greater than 0"]),
        ({"model": {"memory": {"association": "last"}}}, ["association"]),
    ],
)
def test_bad_configuration_is_refused(values: dict, words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        options.validate(ForecastConfig, values, "forecast")
    for word in words:
        assert word in str(error.value)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match="'nobody'"):
        entry_of({"forecast": {"strategies": {"mesa": "mesa"}}}, "nobody")


def test_a_baseline_that_needs_an_unseen_target_is_refused_before_any_work(tmp_path: Path) -> None:
    """Its file says so with NEEDS_TARGET; the file is parsed, not run."""
    arrays = {name: str(tmp_path / f"{name}.npy") for name in ("train", "test")}
    for path in arrays.values():
        Path(path).touch()
    hidden = {"source": "arrays", **arrays, "observe_target": False}
    config = ForecastConfig.model_validate(
        {"datasets": {"wind": hidden}, "baselines": {"last_value": "last_value", "lstm": "lstm"}}
    )
    ((key, problem),) = problems(config)
    assert key == "baselines.last_value"
    assert "'wind'" in problem
    assert "observe_target" in problem


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("name", sorted(path.stem for path in BASELINES.glob("*.py")))
def test_every_baseline_passes_the_checks_before_training(name: str, channels: int) -> None:
    """Also with other sizes than those of the small model."""
    needs_package(name)
    task = Task(16, channels, True, RECIPE)
    model = build(name, EntryConfig(file=name), "baseline", task, ModelConfig())
    if hasattr(model, "fit"):
        x = torch.randn(6, 64, channels)
        part = Split(x, x[:, :, -1], torch.ones(6, 64, dtype=torch.bool), tuple("abcdef"))
        model.fit(part, part)
    check_forecaster(model, task, name)
