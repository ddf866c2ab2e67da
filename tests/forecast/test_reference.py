"""The published protocol against reference numbers of the published code."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ttt_memory.errors import UserError
from ttt_memory.forecast.published import reference
from ttt_memory.forecast.published.titan import PublishedTitan

FOLDER = Path(__file__).parents[2].parent / "shared" / "reference" / "titans"
needs_reference = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the reference numbers are not beside this repository"
)


@needs_reference
def test_the_memory_steps_agree() -> None:
    found = list(reference.memory_steps(load_file(FOLDER / reference.MEMORY)))
    # Four steps for each of two depths; each has retrieved, loss, and two or four weights.
    assert len(found) == 4 * (2 + 2) + 4 * (2 + 4)
    assert max(difference for _, difference in found) < 1e-5


@needs_reference
def test_the_whole_forecaster_agrees() -> None:
    found = dict(reference.forecaster_passes(load_file(FOLDER / reference.FORECASTER)))
    assert {"outputs_pass1", "outputs_pass2"} < found.keys()
    assert len(found) == 2 + 2 * 4
    assert max(found.values()) < 1e-4


@needs_reference
def test_a_wrong_number_or_a_missing_tensor_is_found(tmp_path: Path) -> None:
    assert reference.is_forecast(FOLDER)
    assert not reference.is_forecast(tmp_path)
    tensors = load_file(FOLDER / reference.MEMORY)
    tensors["depth2.step2.after.layers.0.0.weight"] += 0.01
    save_file(tensors, tmp_path / reference.MEMORY)
    shutil.copy(FOLDER / reference.FORECASTER, tmp_path)
    found = dict(reference.compare(tmp_path))
    assert [name for name, difference in found.items() if difference > 1e-3] == [
        "depth2.step2.after.weight0"
    ]
    del tensors["depth1.inputs"]
    save_file(tensors, tmp_path / reference.MEMORY)
    with pytest.raises(UserError, match=r"depth1\.inputs"):
        list(reference.compare(tmp_path))
    (tmp_path / reference.MEMORY).write_bytes(b"short")
    with pytest.raises(UserError, match="not a readable"):
        list(reference.compare(tmp_path))


def test_a_single_memory_step_must_agree_more_closely() -> None:
    assert reference.tolerance("depth1.step0.after.weight0") == 1e-5
    assert reference.tolerance("outputs_pass2") == 1e-4
    assert reference.tolerance("memory_after_pass1.layers.0.nm_module.weight0") == 1e-4


def titan() -> PublishedTitan:
    torch.manual_seed(0)
    return PublishedTitan(1, 8, window=4, persistent=2, hidden=6, ffn=16, dropout=0.0).eval()


@torch.no_grad()
def test_published_forecasts_depend_on_earlier_calls_and_on_the_batch() -> None:
    """The published protocol differs in this from the strict one."""
    model, x = titan(), torch.randn(3, 22, 1)
    first, memory = model(x, model.start())
    second, _ = model(x, memory)
    alone, _ = model(x[:1], model.start())
    assert not torch.allclose(first, second, atol=1e-7)
    assert not torch.allclose(first[:1], alone, atol=1e-7)
    assert torch.equal(first, model(x, model.start())[0])
    assert not first[:, :3].any()


def test_published_gradients_reach_the_outer_parameters_only() -> None:
    model = titan()
    forecast, memory = model(torch.randn(2, 20, 1), model.start())
    forecast.square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert not any(tensor.requires_grad for state in memory for tensor in state.values())
    trained = {name for name, _ in model.named_parameters()}
    assert not any("memory" in name for name in trained)
