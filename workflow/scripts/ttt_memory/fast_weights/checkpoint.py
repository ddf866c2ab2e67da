"""The memory as files: a folder of what it learned, and a file of what it has read.

fast_weights.safetensors and fast_weights.json hold the learned parameters and the configuration; a
state is one safetensors file. Both say whose they are: another model of the same shape would take
them, and answer nonsense.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from hashlib import blake2b
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from ..errors import UserError
from ..io import beside, write_json
from .base_model import check_shapes, fingerprint
from .config import FastWeightsConfig
from .injection import FastWeights, inject
from .layer_state import LayerState
from .state import FastState

TENSORS, CONFIG = "fast_weights.safetensors", "fast_weights.json"


def save(fw: FastWeights, folder: str | Path) -> None:
    """Write the parameters and configuration of `fw` into `folder`; other files there stay.

    The JSON comes last and holds the digest of the tensors: `load` refuses a folder cut short.
    """
    content = save_tensors(_plain(fw.fast.state_dict()))
    with beside(Path(folder) / TENSORS) as temporary:
        temporary.write_bytes(content)
    stored = {
        "config": fw.config.model_dump(mode="json"),
        "tensors": _digest(content),
        "base": fingerprint(fw.model, adapters=True),
    }
    write_json(Path(folder) / CONFIG, stored)


def load(folder: str | Path, model: PreTrainedModel) -> FastWeights:
    """`inject` into `model` the memory that `save` wrote.

    Raises:
        UserError: the folder or a file is missing, damaged, or does not fit the model; it was
            trained on another.
    """
    folder = Path(folder)
    for path in (folder, folder / CONFIG, folder / TENSORS):
        if not path.exists():
            inside = [p.parent for p in folder.glob(f"*/{CONFIG}")]
            meant = f"; is {inside[0]} meant?" if len(inside) == 1 else ""
            raise UserError(
                f"{path}: not found; expected a folder with {CONFIG} and {TENSORS}{meant}"
            )
    content = (folder / TENSORS).read_bytes()
    config, base = _config(folder / CONFIG, content)
    try:
        fw = inject(model, config)
    except UserError as error:
        raise UserError(f"{folder}: does not fit the model: {error}") from error
    try:
        tensors = load_tensors(content)
        where = f"{folder / TENSORS}: does not fit the model"
        check_shapes(where, tensors, fw.fast.state_dict())
        if (found := fingerprint(model, adapters=True)) != base:
            raise UserError(
                f"{folder}: fast weights of another model: trained on one with fingerprint {base},"
                f" found {model.name_or_path!r} with {found}"
            )
    except BaseException:
        fw.eject()
        raise
    fw.fast.load_state_dict(tensors)
    return fw


def save_state(fw: FastWeights, state: FastState, path: str | Path) -> None:
    """Write what `fw` has read to one safetensors file, atomically.

    Raises:
        UserError: `fw` has other layers or sizes.
    """
    fw.check_state(state)
    tensors = {"pending": state.pending, "written": state.written}
    for i, layer in state.layers.items():
        tensors |= {f"{i}.{f.name}": getattr(layer, f.name) for f in fields(layer)}
    tensors = _plain(tensors)
    metadata = {"memory": _identity(fw), "tensors": _digest_of(tensors)}
    with beside(path) as temporary:
        save_file(tensors, temporary, metadata)


def load_state(fw: FastWeights, path: str | Path) -> FastState:
    """Read what `save_state` wrote, onto the device of `fw` and in its type.

    Raises:
        UserError: the file is missing, damaged or no such state, or `fw` is another memory than
            the one that wrote it.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; expected a saved fast-weight state")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        memory, digest = metadata["memory"], metadata["tensors"]
    except (SafetensorError, KeyError) as error:
        raise UserError(f"{path}: not a saved fast-weight state ({error})") from error
    if digest != _digest_of(tensors):
        raise UserError(f"{path}: its tensors are not those that were saved; damaged?")
    if memory != _identity(fw):
        raise UserError(
            f"{path}: written by another memory; expected a state of the same model, learned"
            " parameters and configuration"
        )
    names = {i: [f"{i}.{f.name}" for f in fields(LayerState)] for i in fw.config.layers}
    if other := {"pending", "written"}.union(*names.values()) ^ tensors.keys():
        raise UserError(f"{path}: other tensors than expected: {', '.join(sorted(other))}")
    layers = {i: LayerState(*(tensors[name] for name in own)) for i, own in names.items()}
    state = FastState(layers, tensors["pending"], tensors["written"])
    return state.to(fw.base_weight(fw.config.layers[0]).device, fw.dtype)


def _config(path: Path, content: bytes) -> tuple[FastWeightsConfig, str]:
    """Configuration and fingerprint of the base, once the digest of the tensors is checked."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        config = FastWeightsConfig(**stored["config"])
        digest, base = (str(stored[key]) for key in ("tensors", "base"))
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise UserError(f"{path}: not a fast-weight configuration ({error})") from error
    if digest != _digest(content):
        raise UserError(f"{path}: {TENSORS} is not the file it was saved with; half-written?")
    return config, base


def _identity(fw: FastWeights) -> str:
    """Digits that tell one memory from another: its model, what it learned, and its rule.

    A state means something to the memory that wrote it, and to no other.
    """
    rule = fw.config.model_dump_json(exclude={"init"}, exclude_defaults=True)
    parts = fingerprint(fw.model, adapters=True), fingerprint(fw.fast), rule
    return blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As a file takes them."""
    return {name: t.detach().contiguous().cpu() for name, t in tensors.items()}


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Of names, types, shapes and every byte, but not of the header that it is written into."""
    digest = blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
