"""Comparison of ours with reference numbers, computed with the published forecaster's own code.

A folder holds two files, with tensors named as in the published code:

    neural_memory.safetensors   for each GROUP: GROUP.initial.*, GROUP.inputs,
                                GROUP.stepN.{retrieved,loss}, GROUP.stepN.after.*
    mac_titan.safetensors       weights.*, inputs, outputs_passN, memory_after_pass1.*
"""

import re
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ...errors import UserError
from .. import network
from ..network import State
from .titan import PublishedTitan, Rates, SharedMemory

MEMORY, FORECASTER = "neural_memory.safetensors", "mac_titan.safetensors"
# Largest absolute differences that float32 rounding explains.
STEP_TOLERANCE, FORECASTER_TOLERANCE = 1e-5, 1e-4


def is_forecast(folder: Path) -> bool:
    """Whether `folder` holds reference numbers of the forecaster."""
    return (folder / MEMORY).is_file() or (folder / FORECASTER).is_file()


def compare(folder: Path) -> Iterator[tuple[str, float]]:
    """Name of each reference tensor, and the largest absolute difference of ours from it.

    The difference is infinite where the shapes differ.

    Raises:
        UserError: a file is missing, unreadable or lacks a tensor.
    """
    for name, check in ((MEMORY, memory_steps), (FORECASTER, forecaster_passes)):
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        try:
            yield from check(load_file(path))
        except SafetensorError as error:
            raise UserError(f"{path}: not a readable safetensors file ({error})") from error
        except KeyError as error:
            raise UserError(f"{path}: tensor {error} is missing") from error


def tolerance(name: str) -> float:
    """The largest difference allowed for the tensor of that name."""
    return STEP_TOLERANCE if re.match(r"\w+\.step\d+\.", name) else FORECASTER_TOLERANCE


def memory_steps(tensors: dict[str, Tensor]) -> Iterator[tuple[str, float]]:
    """Differences in what each step retrieves, in its loss and in the weights after it."""
    for group in sorted({name.split(".")[0] for name in tensors}):
        inputs = tensors[f"{group}.inputs"]
        state = _weights(tensors, f"{group}.initial.")
        depth = network.depth(state)
        width, hidden = inputs.shape[-1], state["weight0"].shape[1]
        memory = SharedMemory(width, hidden, depth, Rates())
        memory.key = tensors[f"{group}.initial.K.weight"]
        memory.value = tensors[f"{group}.initial.V.weight"]
        for step, x in enumerate(inputs):
            prefix = f"{group}.step{step}"
            # The published test reads the memory with the tokens themselves as queries.
            retrieved = network.forward(state, x.unsqueeze(0))[0]
            yield f"{prefix}.retrieved", _difference(retrieved, tensors[f"{prefix}.retrieved"])
            loss, state = memory.update(state, x)
            yield f"{prefix}.loss", _difference(loss, tensors[f"{prefix}.loss"])
            yield from _compare_weights(state, tensors, f"{prefix}.after.")


def forecaster_passes(tensors: dict[str, Tensor]) -> Iterator[tuple[str, float]]:
    """Differences in the outputs of passes over one input, and in the memory after the first."""
    model = _titan(tensors)
    inputs = tensors["inputs"]
    memory = [
        _weights(tensors, f"{_layer('weights', i)}nm_module.") for i in range(len(model.layers))
    ]
    passes = sum(re.fullmatch(r"outputs_pass\d+", name) is not None for name in tensors)
    with torch.no_grad():
        for number in range(1, passes + 1):
            outputs, memory = model(inputs, memory)
            name = f"outputs_pass{number}"
            yield name, _difference(outputs, tensors[name])
            if number > 1:
                continue
            for index, state in enumerate(memory):
                prefix = f"{_layer('memory_after_pass1', index)}nm_module."
                yield from _compare_weights(state, tensors, prefix)


def _titan(tensors: dict[str, Tensor]) -> PublishedTitan:
    """Our forecaster with the weights of the reference."""
    layers = len({n.split(".")[2] for n in tensors if n.startswith("weights.layers.")})
    width, channels = tensors["weights.emb_layer.weight"].shape
    window = tensors["weights.final_layer.weight"].shape[1] // width
    first = _layer("weights", 0)
    persistent = tensors[f"{first}persistent_memory"].shape[0]
    ffn = tensors[f"{first}att_layer.linear1.weight"].shape[0]
    state = _weights(tensors, f"{first}nm_module.")
    hidden, depth = state["weight0"].shape[1], network.depth(state)
    model = PublishedTitan(
        channels, width, window, persistent, layers, hidden, depth, ffn, dropout=0.0
    ).eval()
    # Published names and ours, of the model and of its layers.
    names = {"emb_layer": "embedding", "final_layer": "head"}
    inner = {
        "Q": "query",
        "final_layer": "mix",
        "att_layer": "attention",
        "persistent_memory": "persistent",
    }
    own = {}
    for name, tensor in tensors.items():
        match re.sub(r"^weights\.", "", name).split("."):
            case ["layers", index, "nm_module", ("K" | "V") as kind, "weight"]:
                own[f"layers.{index}.memory.{'key' if kind == 'K' else 'value'}"] = tensor
            case ["layers", index, part, *rest] if part in inner and name.startswith("weights."):
                own[".".join(["layers", index, inner[part], *rest])] = tensor
            case [part, *rest] if part in names:
                own[".".join([names[part], *rest])] = tensor
    model.load_state_dict(own)
    return model


def _layer(kind: str, index: int) -> str:
    return f"{kind}.layers.{index}."


def _weights(tensors: dict[str, Tensor], prefix: str) -> State:
    """The published weights `layers.L.weight` or `layers.L.0.weight` of a memory as our state."""
    state = {}
    for name, tensor in tensors.items():
        found = re.fullmatch(re.escape(prefix) + r"layers\.(\d+)\.(?:0\.)?(weight|bias)", name)
        if found:
            state[f"{found[2]}{found[1]}"] = tensor.unsqueeze(0)
    return state | network.zeros(state, "momentum_")


def _compare_weights(
    state: State, tensors: dict[str, Tensor], prefix: str
) -> Iterator[tuple[str, float]]:
    for name, expected in _weights(tensors, prefix).items():
        if not name.startswith("momentum_"):
            yield f"{prefix}{name}", _difference(state[name], expected)


def _difference(ours: Tensor, expected: Tensor) -> float:
    """Largest absolute difference; infinite where the shapes differ."""
    if ours.shape != expected.shape:
        return float("inf")
    return float((ours - expected).abs().max())
