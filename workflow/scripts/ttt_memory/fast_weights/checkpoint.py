"""Fast weights as files: a folder of their learned parameters, and one file for each state.

fast_weights.safetensors and fast_weights.json hold the learned parameters and the configuration; a
state is one safetensors file. Both hold fingerprints of the model (and the state one of the learned
parameters). Without them, a file of another model of the same shape would load and answer nonsense.
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

from .. import options
from ..errors import UserError
from ..io import beside, write_json
from .base_model import check_shapes, fingerprint
from .chunks import Pending
from .config import FastWeightsConfig
from .injection import FastWeights, inject
from .rules import RULES, path_of
from .rules.base import RuleState
from .rules.factors import FactorState
from .state import FastState, LayerState

TENSORS, CONFIG = "fast_weights.safetensors", "fast_weights.json"
OWN_RULE = "update_rule.py"  # the copy of an update rule that does not come with this package
FORMAT = "2"  # of a state file; 1 had one layout of tensors for all update rules


def save(fw: FastWeights, folder: str | Path) -> None:
    """Write the learned parameters and the configuration of `fw` into `folder`.

    A copy of an update rule of the user's own goes with them. Other files there are left alone.
    The JSON comes last and holds the digest of the tensors: `load` refuses a folder cut short.
    """
    content = save_tensors(_plain(fw.fast.state_dict()))
    with beside(Path(folder) / TENSORS) as temporary:
        temporary.write_bytes(content)
    config = fw.config.model_dump(mode="json")
    if fw.config.update not in RULES:
        rule = path_of(fw.config.update).read_bytes()
        with beside(Path(folder) / OWN_RULE) as temporary:
            temporary.write_bytes(rule)
        config["update"] = OWN_RULE
    stored = {
        "config": config,
        "tensors": _digest(content),
        "base": fingerprint(fw.model, adapters=True),
    }
    write_json(Path(folder) / CONFIG, stored)


def load(folder: str | Path, model: PreTrainedModel) -> FastWeights:
    """`inject` into `model` the fast weights that `save` wrote.

    Raises:
        UserError: the folder or a file is missing, damaged, or does not fit the model; or the
            fast weights were trained on another.
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
    """Write `state`, which `fw` has written, to one safetensors file, atomically.

    Raises:
        UserError: `fw` has other layers or sizes.
    """
    fw.check_state(state)
    tensors = {"pending": state.pending, "written": state.written}
    for i, layer in state.layers.items():
        tensors |= {f"{i}.written.{name}": t for name, t in layer.written.tensors().items()}
        tensors |= {f"{i}.pending.{name}": t for name, t in vars(layer.pending).items()}
    tensors = _plain(tensors)
    metadata = {
        "format": FORMAT,
        "kind": type(next(iter(state.layers.values())).written).__name__,
        "fast_weights": _identity(fw),
        "tensors": _digest_of(tensors),
    }
    with beside(path) as temporary:
        save_file(tensors, temporary, metadata)


def load_state(fw: FastWeights, path: str | Path) -> FastState:
    """Read what `save_state` wrote, onto the device of `fw` and in its type.

    Raises:
        UserError: the file is missing, damaged, no such state or of an earlier version, or other
            fast weights than `fw` wrote it.
    """
    metadata, tensors = _state_file(path)
    if metadata["tensors"] != _digest_of(tensors):
        raise UserError(f"{path}: its tensors are not those that were saved; damaged?")
    if metadata["fast_weights"] != _identity(fw):
        raise UserError(
            f"{path}: written by other fast weights; expected a state of the same model, learned"
            " parameters and configuration"
        )
    kinds = {kind.__name__: kind for kind in (fw.rule.State, FactorState)}
    kind = kinds.get(metadata["kind"])
    if kind is None:
        raise UserError(f"{path}: found {metadata['kind']}, expected one of {', '.join(kinds)}")
    layers = {i: _layer(kind, f"{i}.", tensors, path) for i in fw.config.layers}
    state = FastState(layers, tensors.pop("pending", None), tensors.pop("written", None))
    if tensors or state.pending is None or state.written is None:
        found = ", ".join(sorted(tensors)) or "without pending and written"
        raise UserError(f"{path}: other tensors than expected: {found}")
    return state.to(fw.base_weight(fw.config.layers[0]).device, fw.dtype)


def _state_file(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a state file."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; expected a saved fast-weight state")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path}: not a saved fast-weight state ({error})") from error
    if metadata.get("format") == FORMAT and {"kind", "fast_weights", "tensors"} <= metadata.keys():
        return metadata, tensors
    if {"memory", "tensors"} <= metadata.keys():
        raise UserError(
            f"{path}: a state of an earlier version of this package; write its text again"
        )
    raise UserError(f"{path}: not a saved fast-weight state (its metadata names no known format)")


def _layer(
    kind: type[RuleState], prefix: str, tensors: dict[str, Tensor], path: str | Path
) -> LayerState:
    """Take the tensors of one layer out of `tensors`."""
    try:
        pending = Pending(*(tensors.pop(f"{prefix}pending.{f.name}") for f in fields(Pending)))
        tokens = {name: tensors.pop(f"{prefix}written.{name}") for name in kind.TOKENS}
        names = [name for name in kind.SUMS if f"{prefix}written.{kind.SUMS[0]}" in tensors]
        sums = {name: tensors.pop(f"{prefix}written.{name}") for name in names}
    except KeyError as error:
        raise UserError(f"{path}: tensor {error} is missing") from error
    return LayerState(kind(**tokens, **sums), pending)


def _config(path: Path, content: bytes) -> tuple[FastWeightsConfig, str]:
    """The configuration and the base's fingerprint; `content` must have the digest stored there."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["config"]["update"] == OWN_RULE:
            stored["config"]["update"] = str(path.with_name(OWN_RULE))
        config = FastWeightsConfig(**stored["config"])
        digest, base = (str(stored[key]) for key in ("tensors", "base"))
    except ValidationError as error:
        told = options.describe(error, FastWeightsConfig, data=stored["config"])
        raise UserError(f"{path}: {told}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a fast-weight configuration ({error})") from error
    if digest != _digest(content):
        raise UserError(f"{path}: {TENSORS} is not the file it was saved with; half-written?")
    return config, base


def _identity(fw: FastWeights) -> str:
    """Digits that identify fast weights: the model, the learned parameters, the configuration.

    A state can be read only by the fast weights that wrote it.
    """
    config = fw.config
    if config.update not in RULES:  # what the file says counts, not where it lies
        digest = _digest(path_of(config.update).read_bytes())
        config = config.model_copy(update={"update": digest})
    rule = config.model_dump_json(exclude={"init"}, exclude_defaults=True)
    parts = fingerprint(fw.model, adapters=True), fingerprint(fw.fast), rule
    return blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous, on the CPU and without gradient, as safetensors takes them."""
    return {name: t.detach().contiguous().cpu() for name, t in tensors.items()}


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _digest_of(tensors: Mapping[str, Tensor]) -> str:
    """A digest of names, types, shapes and every byte of `tensors`."""
    digest = blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
