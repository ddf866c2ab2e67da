"""The memory network: an MLP whose weights are the memory's state, one set for each series.

Equation: M(k) = W_L silu(... silu(W_1 k + b_1) ...) + b_L (Titans, arXiv 2501.00663, section 3.1).
The weights have a leading batch dimension, so every series of a batch has its own network.
Strategy files import this module.
"""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, silu

State = dict[str, Tensor]


def start(emb_dim: int, hidden: int, depth: int) -> dict[str, nn.Parameter]:
    """Learned initial weights of one network, each with a leading dimension of 1.

    `weight{l}` is [1, out, in] and `bias{l}` is [1, out], both float32, drawn as `nn.Linear` does.

    Args:
        emb_dim: width of keys and values.
        hidden: width of the hidden layers.
        depth: number of linear maps.
    """
    widths = [emb_dim] + [hidden] * (depth - 1) + [emb_dim]
    state = {}
    for level, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
        bound = 1 / math.sqrt(fan_in)
        weight = torch.empty(1, fan_out, fan_in).uniform_(-bound, bound)
        bias = torch.empty(1, fan_out).uniform_(-bound, bound)
        state[f"weight{level}"] = nn.Parameter(weight)
        state[f"bias{level}"] = nn.Parameter(bias)
    return state


def depth(state: State) -> int:
    """Number of linear maps in `state`."""
    return sum(name.startswith("weight") for name in state)


def forward(state: State, keys: Tensor) -> Tensor:
    """M(k) for keys [B, N, E]; returns [B, N, E]."""
    last = depth(state) - 1
    for level in range(last + 1):
        keys = _linear(state, level, keys)
        if level < last:
            keys = silu(keys)
    return keys


def vjp(state: State, keys: Tensor) -> tuple[Tensor, Callable[[Tensor], State]]:
    """M(k) [B, N, E] for keys [B, N, E], and the map from dL/dM(k) [B, N, E] to dL/dweights.

    Written out by hand: training differentiates this gradient once more, and a few batched
    products cost less than nested automatic differentiation.
    """
    last = depth(state) - 1
    inputs, slopes = [keys], []
    for level in range(last):
        pre = _linear(state, level, inputs[-1])
        sigmoid = torch.sigmoid(pre)
        hidden = pre * sigmoid
        slopes.append(sigmoid + hidden * (1 - sigmoid))
        inputs.append(hidden)

    def pullback(error: Tensor) -> State:
        gradient = {}
        for level in range(last, -1, -1):
            gradient[f"weight{level}"] = error.transpose(1, 2) @ inputs[level]
            gradient[f"bias{level}"] = error.sum(1)
            if level:
                error = (error @ state[f"weight{level}"]) * slopes[level - 1]
        return gradient

    return _linear(state, last, inputs[-1]), pullback


def _linear(state: State, level: int, inputs: Tensor) -> Tensor:
    bias = state[f"bias{level}"].unsqueeze(1)
    return torch.baddbmm(bias, inputs, state[f"weight{level}"].transpose(1, 2))


def clip(gradient: State, bound: float) -> State:
    """`gradient` {name: [B, ...]} scaled to a norm of at most `bound` for each series.

    The norm is taken over all tensors together. With a bound of 0 nothing is scaled.
    """
    if not bound:
        return gradient
    rows = [tensor.flatten(1) for tensor in gradient.values()]
    square = (rows[0] if len(rows) == 1 else torch.cat(rows, 1)).square().sum(1)
    scale = bound * torch.rsqrt(square.clamp_min(bound**2))
    return {
        name: tensor * scale.view(-1, *[1] * (tensor.dim() - 1))
        for name, tensor in gradient.items()
    }


def add_projections(memory: nn.Module, emb_dim: int) -> None:
    """Set the learned maps `key` and `value` on `memory`; `keys_values` uses them."""
    memory.key = nn.Linear(emb_dim, emb_dim, bias=False)
    memory.value = nn.Linear(emb_dim, emb_dim, bias=False)


def keys_values(memory: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Keys of length 1 and values, both [B, N, E], of tokens x [B, N, E] (Titans, section 4.4)."""
    return normalize(silu(memory.key(x)), dim=-1), silu(memory.value(x))


def zeros(state: State, prefix: str) -> State:
    """A fixed start of zeros for an accumulator of each weight, named `prefix` plus its name."""
    return {f"{prefix}{name}": torch.zeros_like(weight.data) for name, weight in state.items()}
