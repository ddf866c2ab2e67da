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
from .compact import CompactState
from .config import CONFIG, OWN_RULE, FastWeightsConfig
from .injection import FastWeights, inject
from .rules import RULES, path_of
from .rules.factors import FactorState
from .rules.states import RuleState
from .state import COUNTERS, FastState, LayerState

TENSORS = "fast_weights.safetensors"
FORMAT = "4"  # of a state file; 3 did not say which part of the fast weights differs
# What a state file holds a digest of: it can be read only by fast weights with the same parts.
PARTS = ("model", "learned parameters", "configuration")


def save(fw: FastWeights, folder: str | Path) -> None:
    """Write the learned parameters and the configuration of `fw` into `folder`.

    A copy of an update rule of the user's own goes with them. Other files there are left alone.
    The JSON comes last and holds the digest of the tensors: `load` refuses a folder cut short.
    """
    content = save_tensors(_plain(fw.fast.state_dict()))
    _store(Path(folder), content, fw.config, fingerprint(fw.model, adapters=True))


def copy_rounded(folder: str | Path, out: str | Path, dtype: torch.dtype) -> None:
    """Copy what `save` wrote with its learned parameters rounded to `dtype`; `load` reads both.

    Raises:
        UserError: a file is missing or damaged.
    """
    content, config, base = _read(Path(folder))
    tensors = {name: t.to(dtype) for name, t in load_tensors(content).items()}
    _store(Path(out), save_tensors(tensors), config, base)


def load(folder: str | Path, model: PreTrainedModel) -> FastWeights:
    """`inject` into `model` the fast weights that `save` wrote.

    Raises:
        UserError: the folder or a file is missing, damaged, or does not fit the model; or the
            fast weights were trained on another.
    """
    content, config, base = _read(Path(folder))
    try:
        fw = inject(model, config)
    except UserError as error:
        raise UserError(f"{folder}: does not fit the model: {error}") from error
    try:
        _fill(fw, Path(folder), content, base)
    except BaseException:
        fw.eject()
        raise
    return fw


def fill(fw: FastWeights, folder: str | Path) -> None:
    """Give `fw` the learned parameters that `save` wrote; its configuration stays its own.

    Raises:
        UserError: the folder or a file is missing, damaged, or does not fit; or the fast weights
            were trained on another model.
    """
    content, _, base = _read(Path(folder))
    _fill(fw, Path(folder), content, base)


def _fill(fw: FastWeights, folder: Path, content: bytes, base: str) -> None:
    tensors = load_tensors(content)
    where = f"{folder / TENSORS}: does not fit the model"
    check_shapes(where, tensors, fw.fast.state_dict())
    if (found := fingerprint(fw.model, adapters=True)) != base:
        adapted = fingerprint(fw.model) == base
        differs = "an adapter that it did not have" if adapted else f"fingerprint {found}"
        raise UserError(
            f"{folder}: fast weights of another model: trained on one with fingerprint {base},"
            f" found {fw.model.name_or_path!r} with {differs}"
        )
    fw.fast.load_state_dict(tensors)


def save_state(
    fw: FastWeights, state: FastState, path: str | Path, limit: int | None = None
) -> None:
    """Write `state`, which `fw` has written, to one safetensors file, atomically.

    With `limit`, in at most as many bytes a row (`FastState.compact`); the names and shapes in the
    file take a few hundred bytes more.

    Raises:
        UserError: `fw` has other layers or sizes, the limit cannot be met, or the state is not
            finite.
    """
    fw.check_state(state)
    state = state if limit is None else state.compact(limit)
    tensors = {name: getattr(state, name) for name in COUNTERS}
    for i, layer in state.layers.items():
        tensors |= {f"{i}.written.{name}": t for name, t in layer.written.tensors().items()}
        tensors |= {f"{i}.pending.{name}": t for name, t in vars(layer.pending).items()}
    tensors = _plain(tensors)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise UserError(f"{path}: not written: {name} of the state is not finite")
    metadata = {
        "format": FORMAT,
        "kind": type(next(iter(state.layers.values())).written).__name__,
        **_identity(fw),
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
    parts = [name for name, digest in _identity(fw).items() if metadata[name] != digest]
    if parts:
        raise UserError(f"{path}: written by other fast weights: other {', '.join(parts)}")
    kinds = {kind.__name__: kind for kind in (fw.rule.State, FactorState, CompactState)}
    kind = kinds.get(metadata["kind"])
    if kind is None:
        raise UserError(f"{path}: found {metadata['kind']}, expected one of {', '.join(kinds)}")
    try:
        counters = {name: tensors.pop(name) for name in COUNTERS}
        batch = len(counters["written"])
        layers = {i: _layer(fw, i, kind, tensors, batch) for i in fw.config.layers}
    except KeyError as error:
        raise UserError(f"{path}: tensor {error} is missing") from error
    if tensors:
        raise UserError(f"{path}: other tensors than expected: {', '.join(sorted(tensors))}")
    state = FastState(layers, **counters)
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
    if metadata.get("format") == FORMAT and {"kind", "tensors", *PARTS} <= metadata.keys():
        return metadata, tensors
    if metadata.get("format", "1").isdigit() and "tensors" in metadata:
        raise UserError(f"{path}: a state of another version of this package; write its text again")
    raise UserError(f"{path}: not a saved fast-weight state (its metadata names no known format)")


def _layer(
    fw: FastWeights, layer: int, kind: type[RuleState], tensors: dict[str, Tensor], batch: int
) -> LayerState:
    """Take the tensors of one layer out of `tensors`; KeyError names one that is missing."""
    pending = Pending(*(tensors.pop(f"{layer}.pending.{f.name}") for f in fields(Pending)))
    prefix = f"{layer}.written."
    own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    known = set(own)
    written = kind.from_tensors(own, batch, fw.widths(layer))
    for name in known - set(own):
        del tensors[prefix + name]
    return LayerState(written, pending)


def _store(folder: Path, content: bytes, config: FastWeightsConfig, base: str) -> None:
    """Write the tensors, then the JSON with their digest; `base` is the model's fingerprint."""
    with beside(folder / TENSORS) as temporary:
        temporary.write_bytes(content)
    stored = config.model_dump(mode="json")
    if config.update not in RULES:
        rule = path_of(config.update).read_bytes()
        with beside(folder / OWN_RULE) as temporary:
            temporary.write_bytes(rule)
        stored["update"] = OWN_RULE
    write_json(folder / CONFIG, {"config": stored, "tensors": _digest(content), "base": base})


def _read(folder: Path) -> tuple[bytes, FastWeightsConfig, str]:
    """The tensors' file, the configuration and the base's fingerprint that `save` wrote."""
    for path in (folder, folder / CONFIG, folder / TENSORS):
        if not path.exists():
            inside = [p.parent for p in folder.glob(f"*/{CONFIG}")]
            meant = f"; is {inside[0]} meant?" if len(inside) == 1 else ""
            raise UserError(
                f"{path}: not found; expected a folder with {CONFIG} and {TENSORS}{meant}"
            )
    content = (folder / TENSORS).read_bytes()
    return content, *_config(folder / CONFIG, content)


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


def _identity(fw: FastWeights) -> dict[str, str]:
    """Digits for each of `PARTS`."""
    config = fw.config
    if config.update not in RULES:  # what the file says counts, not where it lies
        digest = _digest(path_of(config.update).read_bytes())
        config = config.model_copy(update={"update": digest})
    rule = config.model_dump_json(exclude={"init"}, exclude_defaults=True)
    found = fingerprint(fw.model, adapters=True), fingerprint(fw.fast), _digest(rule.encode())
    return dict(zip(PARTS, found, strict=True))


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
