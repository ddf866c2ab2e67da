"""The delta rule (arXiv 2102.11174): write each value less what dW already returns for its key.

    dW <- dW + s_t (v_t - dW k_t) k_t^T    token by token,  s_t = 1 - exp(-rate g_t)

A later token thereby changes what was written for an earlier one with a similar key.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .base import Held, Tokens
from .factors import FactorRule, FactorState
from .products import at_least_float32
from .states import joined

if TYPE_CHECKING:
    from ..chunks import ChunkPlan

ORDERED = True  # what is written depends on what was there before
# Tokens whose part of the triangular system is solved at once. Larger blocks compute more products
# that are not needed, smaller ones leave a device idle.
BLOCK = 256


@dataclass(frozen=True, eq=False)
class DeltaState(FactorState):
    """Sums of corrected tokens."""


class Rule(FactorRule):
    """U = s (V - decay^c K dW^T - (E * (K K^T)) U), for all tokens at once.

    E[t, s] is M[t, s] of `FactorRule` for earlier chunks and 1 for earlier tokens of the same
    chunk. So U solves a unit lower triangular system (DeltaNet in parallel form, arXiv 2406.06484).
    """

    State = DeltaState

    def strength(self, weight: Tensor, rate: Tensor | float) -> Tensor:
        """The strength s = 1 - exp(-rate g), `[B, L]`: many small writes of a token add up to it.

        It stays below 1, where a key returns exactly its value, and keeps its gradient.
        """
        return -torch.expm1(-(weight * rate))

    def updates(self, state: DeltaState, plan: "ChunkPlan", tokens: Tokens) -> Tensor:
        """U `[B, L, d]`, solved block by block."""
        keys, strength = tokens.keys, tokens.strength[..., None]
        returned = state.read(keys) * plan.fade(plan.key_chunk)[:, None].to(keys)
        first = strength * (tokens.values - returned)
        update = first[:, :0]
        for start in range(0, keys.shape[1], BLOCK):
            own, seen = slice(start, start + BLOCK), slice(start + BLOCK)
            system = strength[:, own] * (keys[:, own] @ keys[:, seen].mT)
            system = system * plan.key_mask[own, seen].to(keys)  # plus the unit diagonal
            right = torch.baddbmm(first[:, own], system[..., :start], update, alpha=-1)
            parts = at_least_float32(system[..., start:]), at_least_float32(right)
            solved = torch.linalg.solve_triangular(*parts, upper=False, unitriangular=True)
            update = joined(update, solved.to(right.dtype))
        return update

    def update_flops(self, d: int, ff: int, tokens: int, held: Held) -> int:
        """Reading for every key, and the triangular system block by block."""
        flops = tokens * self.read_flops(d, ff, held)
        for start in range(0, tokens, BLOCK):
            block = min(BLOCK, tokens - start)
            flops += block * (2 * (start + block) * ff + 2 * start * d + block * d)
        return flops


def naive_step(dw: Tensor, key: Tensor, value: Tensor, rate_gate: Tensor, memo: dict) -> Tensor:
    """The oracle: what one token adds to dW `[d, ff]`; `rate_gate` is rate times gate."""
    error = value - dw @ key
    return (1 - torch.exp(-rate_gate)) * torch.outer(error, key)
