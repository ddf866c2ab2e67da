"""The memory network of `network`, with all its weights in one matrix [B, P]: a row per series.

A chunk is written in a third of the operations: one sum, one norm and one step in place of one for
each weight and each bias. `network.forward` and `network.vjp` are the readable form of the same
functions. Of each linear map, the row holds the weight [out, in] with its bias as a last column.
"""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from . import network
from .network import State


def start(emb_dim: int, hidden: int, depth: int) -> dict[str, nn.Parameter]:
    """The state {"weights": [1, P]} of the network that `network.start` draws."""
    return {"weights": nn.Parameter(pack(network.start(emb_dim, hidden, depth)).detach())}


def pack(state: State) -> Tensor:
    """One matrix [B, P] of the weights and biases of `network.start`, [B, ...]."""
    rows = []
    for level in range(network.depth(state)):
        bias = state[f"bias{level}"].unsqueeze(2)
        rows.append(torch.cat([state[f"weight{level}"], bias], 2).flatten(1))
    return torch.cat(rows, 1)


def unpack(memory: object, weights: Tensor) -> State:
    """The weights and biases of `network.start`, as views of the matrix `weights` [B, P]."""
    state = {}
    for level, matrix in enumerate(_matrices(memory, weights)):
        state[f"weight{level}"], state[f"bias{level}"] = matrix[:, :, :-1], matrix[:, :, -1]
    return state


def forward(memory: object, weights: Tensor, keys: Tensor) -> Tensor:
    """M(k) for keys [B, N, E]; returns [B, N, E]."""
    return network.forward(unpack(memory, weights), keys)


def vjp(memory: object, weights: Tensor, keys: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """M(k) [B, N, E] for keys [B, N, E], and the map from dL/dM(k) to dL/dweights [B, P]."""
    matrices = _matrices(memory, weights)
    inputs, slopes = [_with_one(keys)], []
    for matrix in matrices[:-1]:
        pre = torch.bmm(inputs[-1], matrix.transpose(1, 2))
        sigmoid = torch.sigmoid(pre)
        hidden = pre * sigmoid
        # The slope of silu is sigmoid + hidden (1 - sigmoid).
        slopes.append(torch.addcmul(sigmoid + hidden, hidden, sigmoid, value=-1))
        inputs.append(_with_one(hidden))

    def pullback(error: Tensor) -> Tensor:
        rows = []
        for level in range(len(matrices) - 1, -1, -1):
            rows.append(torch.bmm(error.transpose(1, 2), inputs[level]).flatten(1))
            if level:
                error = torch.bmm(error, matrices[level][:, :, :-1]) * slopes[level - 1]
        return torch.cat(rows[::-1], 1)

    return torch.bmm(inputs[-1], matrices[-1].transpose(1, 2)), pullback


def _matrices(memory: object, weights: Tensor) -> list[Tensor]:
    """Each linear map with its bias, [B, out, in + 1]."""
    widths = [memory.emb_dim] + [memory.hidden] * (memory.depth - 1) + [memory.emb_dim]
    shapes = [(out, into + 1) for into, out in itertools.pairwise(widths)]
    parts = weights.split([out * into for out, into in shapes], 1)
    return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]


def _with_one(inputs: Tensor) -> Tensor:
    """A last entry of 1, by which the bias is multiplied."""
    return pad(inputs, (0, 1), value=1.0)
