"""The memory network: a small MLP whose weights are the memory's state, one set per sequence.

Equation: M(k) = W_L silu(... silu(W_1 k + b_1) ...) + b_L (Titans, arXiv 2501.00663, section 3.1).
The weights of a sequence are one vector of P numbers, so that an update rule is written, and
costs, as if there were a single parameter.
"""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import silu


class Network:
    """Shape of the network: `depth` linear maps from and to `width`, over `hidden` between."""

    def __init__(self, width: int, hidden: int, depth: int):
        widths = [width] + [hidden] * (depth - 1) + [width]
        self.shapes = list(itertools.pairwise(widths))
        # Each map's weights, then its bias.
        self.sizes = [size for fan in self.shapes for size in (math.prod(fan), fan[1])]

    def start(self) -> nn.Parameter:
        """Learned initial weights [1, P], initialised as `nn.Linear` would."""
        parts = [
            torch.empty(1, (fan_in + 1) * fan_out).uniform_(-1, 1) / math.sqrt(fan_in)
            for fan_in, fan_out in self.shapes
        ]
        return nn.Parameter(torch.cat(parts, 1))

    def split(self, weights: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Weights [B, P] as pairs: matrix [B, in, out] and bias [B, 1, out] of each map."""
        parts = weights.split(self.sizes, 1)
        return [
            (matrix.unflatten(1, fan), bias.unsqueeze(1))
            for fan, matrix, bias in zip(self.shapes, parts[::2], parts[1::2], strict=True)
        ]

    def join(self, maps: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Inverse of `split`."""
        return torch.cat([part.flatten(1) for pair in maps for part in pair], 1)

    def forward(self, weights: Tensor, keys: Tensor) -> Tensor:
        """M(k) for weights [B, P] and keys [B, N, E]; returns [B, N, E]."""
        *inner, (matrix, bias) = self.split(weights)
        for inner_matrix, inner_bias in inner:
            keys = silu(torch.baddbmm(inner_bias, keys, inner_matrix))
        return torch.baddbmm(bias, keys, matrix)

    def vjp(self, weights: Tensor, keys: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """M(k) [B, N, E], and the map from dL/dM(k) [B, N, E] to dL/dweights [B, P].

        Written out by hand, so that the gradient is itself differentiable at the cost of a few
        batched products: the inner step of every gradient-based strategy.
        """
        *inner, last = maps = self.split(weights)
        inputs, slopes = [keys], []
        for matrix, bias in inner:
            before = torch.baddbmm(bias, inputs[-1], matrix)
            sigmoid = torch.sigmoid(before)
            hidden = before * sigmoid
            # silu' = sigmoid + silu (1 - sigmoid)
            slopes.append(torch.addcmul(sigmoid + hidden, hidden, sigmoid, value=-1))
            inputs.append(hidden)

        def pullback(error: Tensor) -> Tensor:
            parts: list[Tensor] = []
            for level in range(len(maps) - 1, -1, -1):
                matrix = inputs[level].transpose(1, 2) @ error
                parts = [matrix.flatten(1), error.sum(1), *parts]
                if level:
                    error = (error @ maps[level][0].transpose(1, 2)) * slopes[level - 1]
            return torch.cat(parts, 1)

        return torch.baddbmm(last[1], inputs[-1], last[0]), pullback
