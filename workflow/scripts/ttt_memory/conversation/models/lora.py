"""LoRA adapters on the base (arXiv 2106.09685), made, saved and loaded by the peft library.

peft is imported inside the functions that use it. Importing it doubles the time that a job needs to
start, and most jobs have no adapter.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from ...errors import UserError
from ...fast_weights.base_model import check_shapes, fingerprint, is_adapter
from ...io import write_json
from ..config.training import LoraConfig

if TYPE_CHECKING:
    import peft

ORIGIN = "base.json"
_OTHER = "an adapter of another model"
TENSORS = "adapter_model.safetensors"  # as peft names it


def adapt(model: PreTrainedModel, config: LoraConfig) -> "peft.PeftModel":
    """Put an adapter on every module that `config` names. `model` itself is changed.

    Before training, the adapters change no output. Their factors are float32, whatever the type
    of the base.

    Raises:
        UserError: the model has no module of a given name, or no such layer.
    """
    import peft

    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    for target in config.target_modules:
        if target not in names:
            raise UserError(
                f"train.lora.target_modules: {type(model).__name__} has no module {target!r}"
            )
    depth = len(model.get_decoder().layers)
    if config.from_layer >= depth:
        raise UserError(
            f"train.lora.from_layer: found {config.from_layer}, expected 0 to {depth - 1}:"
            f" {type(model).__name__} has {depth} layers"
        )
    options = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.target_modules),
        # None for all, so that what peft stores of such adapters stays the same.
        layers_to_transform=list(range(config.from_layer, depth)) if config.from_layer else None,
    )
    return peft.get_peft_model(model, options)


def save(adapted: "peft.PeftModel", folder: Path) -> None:
    """Write the adapter in peft's format, with the name and fingerprint of its base.

    The base itself is not written.
    """
    # Embeddings have no adapter. Without this argument peft asks the Hub about their size.
    adapted.save_pretrained(folder, save_embedding_layers=False)
    base = adapted.get_base_model()
    origin = {"name": base.name_or_path, "fingerprint": fingerprint(base)}
    write_json(folder / ORIGIN, origin)


def base_name(folder: Path) -> str | None:
    """The name or folder of the base of the adapter in `folder`; None where there is no adapter."""
    if not (folder / ORIGIN).is_file():
        return None
    _, _, origin = _read(folder)
    return origin["name"]


def load(folder: Path, model: PreTrainedModel) -> PreTrainedModel:
    """Put the adapter that `save` wrote on `model`, and return the same model.

    Raises:
        UserError: a file is missing or damaged, or the adapter belongs to another base.
    """
    import peft

    config, tensors, origin = _read(folder)
    try:
        adapted = peft.get_peft_model(model, config)
    except ValueError as error:
        raise UserError(f"{folder}: {_OTHER} ({origin['name']}): {error}") from error
    _fill(adapted, folder, tensors, origin)
    return model


def fill(adapted: "peft.PeftModel", folder: Path) -> None:
    """Give the adapters of `adapted` the values that `save` wrote.

    Raises:
        UserError: a file is missing or damaged, the adapters are others, or the base is.
    """
    _, tensors, origin = _read(folder)
    _fill(adapted, folder, tensors, origin)


def merge(model: PreTrainedModel) -> None:
    """Add the adapters of `model` to the weights that they adapt, where it has any.

    An answer then takes two products fewer for each map. The sum is rounded to the type of the
    weights. A merged model is no longer the one that a saved state or fast weights belong to, so
    load and save those before.
    """
    if any(is_adapter(name) for name, _ in model.named_parameters()):
        from peft.tuners.tuners_utils import BaseTunerLayer

        for module in model.modules():
            if isinstance(module, BaseTunerLayer):
                module.merge()


@contextmanager
def without(model: PreTrainedModel) -> Iterator[None]:
    """Inside the block the adapters of `model` add nothing, where it has any.

    They get no gradient from what is computed there. Do not run the backward pass inside.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    trained = [p for layer in layers for p in layer.parameters() if p.requires_grad]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
            # peft asks for gradients of every active adapter, trained or not.
            layer.requires_grad_(False)
        for parameter in trained:
            parameter.requires_grad_(True)


def copy_rounded(folder: Path, out: Path, dtype: torch.dtype) -> None:
    """Copy what `save` wrote with its factors rounded to `dtype`; `load` reads both.

    Raises:
        UserError: a file is missing or damaged.
    """
    from peft.utils import CONFIG_NAME

    _, tensors, _ = _read(folder)
    out.mkdir()
    for name in (CONFIG_NAME, ORIGIN):
        shutil.copyfile(folder / name, out / name)
    save_file({n: t.to(dtype) for n, t in tensors.items()}, out / TENSORS, {"format": "pt"})


def _fill(
    adapted: "peft.PeftModel", folder: Path, tensors: dict[str, Tensor], origin: dict[str, str]
) -> None:
    import peft

    other, model = f"{folder}: {_OTHER}", adapted.get_base_model()
    own = peft.get_peft_model_state_dict(adapted)
    check_shapes(f"{other} ({origin['name']})", tensors, own)
    found = fingerprint(model)
    if found != origin["fingerprint"]:
        raise UserError(
            f"{other}: it was trained on {origin['name']} with fingerprint"
            f" {origin['fingerprint']}, found {model.name_or_path} with {found}"
        )
    peft.set_peft_model_state_dict(adapted, tensors)


def _read(folder: Path) -> "tuple[peft.LoraConfig, dict[str, Tensor], dict[str, str]]":
    import peft
    from peft.utils import CONFIG_NAME

    for name in (CONFIG_NAME, TENSORS, ORIGIN):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: not found; expected an adapter and its {ORIGIN}")
    try:
        origin = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
        origin = {key: str(origin[key]) for key in ("name", "fingerprint")}
        config = peft.LoraConfig.from_pretrained(folder)
        return config, load_file(folder / TENSORS), origin
    except (ValueError, TypeError, KeyError, OSError, SafetensorError) as error:
        raise UserError(f"{folder}: not an adapter in peft's format ({error})") from error
