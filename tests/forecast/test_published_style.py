"""Strategy files in the published style, and gradients that are cut or not finite."""

import ast
import re
from pathlib import Path

import pytest
import torch

from forecast_models import SMALL, STRATEGIES, TASK, series, train
from presets import ROOT
from strategy_files import GOOD, forecaster, refused
from ttt_memory.errors import UserError
from ttt_memory.forecast.config import EntryConfig
from ttt_memory.forecast.forecaster import build
from ttt_memory.forecast.forecaster_checks import check_forecaster
from ttt_memory.forecast.strategy import HOOKS, REQUIRED
from ttt_memory.forecast.strategy import STRATEGIES as FOLDER
from ttt_memory.forecast.strategy_file import GUIDE, published_style

# As the published forecaster's memory is: one network, its state on `memory`, one loss for all.
PUBLISHED = """
import torch
from torch import nn
from torch.nn.functional import normalize, silu


def init_memory_state(memory, emb_dim):
    memory.layers = nn.Sequential(nn.Linear(emb_dim, 8), nn.SiLU(), nn.Linear(8, emb_dim))
    memory.K = nn.Linear(emb_dim, emb_dim, bias=False)
    memory.V = nn.Linear(emb_dim, emb_dim, bias=False)
    memory.surprise = {}


def compute_keys_values(memory, x):
    return normalize(silu(memory.K(x)), dim=-1), silu(memory.V(x))


def compute_surprise(memory, keys, values):
    loss = ((memory.layers(keys) - values) ** 2).mean(0).sum()
    return torch.autograd.grad(loss, list(memory.layers.parameters()))


def apply_update(memory, grads):
    for (name, weight), grad in zip(memory.layers.named_parameters(), grads):
        memory.surprise[name] = 0.9 * memory.surprise.get(name, 0) - 0.01 * grad
        weight.data = 0.999 * weight.data + memory.surprise[name]
"""


def test_the_published_functions_are_recognised(tmp_path: Path) -> None:
    refused(tmp_path, PUBLISHED, "mine.py", "published style", "compute_surprise (line", GUIDE)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        # The published task for language models has these arguments.
        (
            "def apply_update(memory, state, surprise, gates):",
            "def apply_update(memory, fast_W, fast_S, grads, gates=None):\n    state = fast_W",
            ["apply_update", "fast_W, fast_S"],
        ),
        (
            '    return {"m": memory.options',
            '    memory.m = state["m"]\n    return {"m": memory.options',
            ["apply_update", "keeps memory.m"],
        ),
        (
            '    return {"m": memory.options',
            '    memory.past["m"] += 1\n    return {"m": memory.options',
            ["apply_update", "keeps memory.past['m']"],
        ),
        (
            '    return {"m": memory.options',
            '    memory.m.copy_(state["m"][:1])\n    return {"m": memory.options',
            ["apply_update", "keeps memory.m"],
        ),
        (
            '    return {"m": memory.options',
            '    setattr(memory, "m", state)\n    return {"m": memory.options',
            ["apply_update", "keeps memory."],
        ),
        (
            '    return {"m": memory.options',
            "    for weight in memory.parameters():\n        weight.data = 2 * weight\n"
            '    return {"m": memory.options',
            ["apply_update", "keeps weight.data"],
        ),
        (
            '    return {"m": values',
            "    loss = (keys - values).square().sum()\n"
            "    torch.autograd.grad(loss, keys)\n"
            '    return {"m": values',
            ["compute_surprise", "torch.autograd.grad", "torch.func.grad"],
        ),
        (
            '    return {"m": values',
            '    (keys - values).sum().backward()\n    return {"m": values',
            ["compute_surprise", "backward"],
        ),
        # The state without a dimension for series, or none at all.
        ("torch.zeros(1, emb_dim, emb_dim)", "torch.zeros(emb_dim, emb_dim)", ["[1, ...]"]),
        ('return {"m": torch.zeros(1, emb_dim, emb_dim)}', "pass", ["NoneType", "the state of"]),
    ],
)
def test_each_sign_of_the_published_style_is_named(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    assert GOOD.count(old) == 1
    refused(tmp_path, GOOD.replace(old, new), "mine.py", GUIDE, *words)


def test_the_two_forms_of_the_guide(tmp_path: Path) -> None:
    """The published one is refused, and the other one is trained."""
    text = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
    assert GUIDE == "docs/strategies.md#" + "from-the-published-style-to-this-one"
    assert "## From the published style to this one\n" in text
    published, ours = re.findall(r"```py\n(.*?)```", text, re.S)
    imports = "import torch\nfrom torch import nn\nfrom torch.func import grad, vmap\n\n\n"
    refused(tmp_path, imports + published, "published style", "takes no state", GUIDE)
    model = forecaster(tmp_path, imports + ours)
    check_forecaster(model, TASK, "mine")
    train({0: model}, 1, "mine")
    with torch.no_grad():
        assert torch.isfinite(model(series(2))).all()


def test_no_built_in_strategy_is_taken_for_one() -> None:
    for name in STRATEGIES:
        tree = ast.parse((FOLDER / f"{name}.py").read_bytes())
        assert published_style(tree, {**REQUIRED, **HOOKS}) is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        # The state is on `memory`: without the check, it trains with its memory silently off.
        ("", "", ["init_memory_state", "switches the memory off", "memory.key"]),
        ("    memory.key = nn.Linear(emb_dim, emb_dim)\n", "", ["compute_surprise", "['m']"]),
    ],
)
def test_an_empty_state_is_refused_where_something_is_written(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    text = GOOD.replace("torch.zeros(1, emb_dim, emb_dim)", "").replace('{"m": }', "{}")
    text = text.replace(old, new) if old else text
    text = text.replace("memory.key(x)", "x") if old else text
    refused(tmp_path, text, GUIDE, *words)


def test_an_empty_state_still_switches_the_memory_off(tmp_path: Path) -> None:
    model = build("none", EntryConfig(file="no_memory"), "strategy", TASK, SMALL)
    assert all(layer.memory is None for layer in model.layers)


def test_a_helper_that_asks_autograd_is_told_what_to_use(tmp_path: Path) -> None:
    """It is in another function of the file, where its text shows nothing."""
    text = GOOD.replace("values.transpose(1, 2) @ keys", "helped(values, keys)") + (
        "\n\ndef helped(values, keys):\n"
        "    found = values.transpose(1, 2) @ keys\n"
        "    return torch.autograd.grad(found.sum(), keys)[0].mean(1, True) + found\n"
    )
    refused(tmp_path, text, "compute_surprise", "torch.func.grad with vmap", GUIDE)


def test_a_gradient_by_torch_func_passes(tmp_path: Path) -> None:
    """What the messages advise: it is trained and forecasts, where nothing is recorded too."""
    text = GOOD.replace(
        'return {"m": values.transpose(1, 2) @ keys / keys.shape[1]}',
        "def loss(m, k, v):\n        return (k @ m.T - v).square().sum(-1).mean()\n\n"
        '    step = torch.func.vmap(torch.func.grad(loss))(state["m"], keys, values)\n'
        '    return {"m": -0.1 * memory.clip({"m": step})["m"]}',
    )
    model = forecaster(tmp_path, text)
    check_forecaster(model, TASK, "mine")
    before = model.layers[0].memory.key.weight.detach().clone()
    train({0: model}, 1, "mine")
    assert not torch.equal(model.layers[0].memory.key.weight, before)
    with torch.no_grad():
        assert torch.isfinite(model(series(2))).all()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("@ keys / keys", "@ keys.detach() / keys", ["compute_surprise", "passes from keys"]),
        ("values.transpose", "values.detach().transpose", ["compute_surprise", "from values"]),
        ("memory.key(x), x", "memory.key(x).detach(), x.data", ["compute_keys_values", "from x"]),
        ("+ surprise", "+ surprise['m'].data + 0 * surprise", None),
        ('* state["m"]', '* state["m"].detach()', ["apply_update", "from state"]),
        ('+ surprise["m"]', '+ surprise["m"].detach()', ["apply_update", "from surprise"]),
        ("return queries @", "return queries.detach() @", ["retrieve", "from queries"]),
        (
            'return queries @ state["m"].tran',
            'return queries @ state["m"].detach().tran',
            ["retrieve", "from state"],
        ),
    ],
)
def test_a_cut_gradient_is_refused_and_its_place_named(
    tmp_path: Path, old: str, new: str, words: list[str] | None
) -> None:
    """Each of these would train, and what is cut off would not learn. One has another way."""
    assert GOOD.count(old) == 1
    if words is None:
        forecaster(tmp_path, GOOD.replace(old, new))
        return
    refused(tmp_path, GOOD.replace(old, new), "no gradient", *words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        # Finite everywhere, but a square root has no gradient at zero.
        (
            "@ keys / keys.shape[1]",
            "@ keys + (0 * keys).sum((1, 2), True).sqrt()",
            ["compute_surprise", "keys"],
        ),
        ('surprise["m"]}', 'surprise["m"] + (0 * state["m"]).sqrt()}', ["apply_update", "state"]),
        (
            "return memory.key(x), x",
            "return x.abs().sqrt(), memory.key(x)",
            ["compute_keys_values", "token of zeros"],
        ),
        (
            'queries @ state["m"].transpose(1, 2)',
            'queries @ state["m"].transpose(1, 2) + (0 * queries).sqrt()',
            ["retrieve", "queries"],
        ),
    ],
)
def test_a_gradient_that_is_not_finite_names_its_function(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    assert GOOD.count(old) == 1
    refused(tmp_path, GOOD.replace(old, new), "NaN or infinite", *words)


def test_a_gradient_that_turns_nan_in_training_names_its_function(tmp_path: Path) -> None:
    """All is finite when the file is checked; then an argument of a square root becomes zero."""
    text = GOOD.replace("@ keys / keys", "@ (keys * (keys.square() * SCALE).sqrt()) / keys")
    text = text.replace("\nOPTIONS", "\nSCALE = 1.0\nOPTIONS")
    model = forecaster(tmp_path, text)
    check_forecaster(model, TASK, "mine")
    model.layers[0].memory.strategy.functions["compute_surprise"].__globals__["SCALE"] = 0.0
    with pytest.raises(UserError, match=r"step 1: .*nan.*; compute_surprise of .*mine\.py has a"):
        train({0: model}, 1, "mine")


def test_a_parameter_whose_gradient_turns_nan_is_named(tmp_path: Path) -> None:
    text = GOOD.replace("@ keys / keys", "@ keys * memory.root.sqrt() / keys").replace(
        "    memory.key =", "    memory.root = nn.Parameter(torch.ones(1))\n    memory.key ="
    )
    model = forecaster(tmp_path, text)
    with torch.no_grad():
        model.layers[1].memory.root.zero_()
    with pytest.raises(
        UserError, match=r"step 1: .*the gradient of layers\.1\.memory\.root is NaN"
    ):
        train({0: model}, 1, "mine")
