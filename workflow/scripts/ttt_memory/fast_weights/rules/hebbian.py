"""The Hebbian rule, as published (arXiv 2604.06169, section 3): add up v k^T.

dW <- decay dW + sum_t s_t v_t k_t^T    over the tokens of a chunk,  s_t = rate g_t
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from .base import Tokens
from .factors import FactorRule, FactorState

if TYPE_CHECKING:
    from ..chunks import ChunkPlan

ORDERED = False  # texts written apart and merged give the state of texts written in turn


@dataclass(frozen=True, eq=False)
class HebbianState(FactorState):
    """Sums of tokens."""

    mergeable: ClassVar = not ORDERED


class Rule(FactorRule):
    """U = s V."""

    State = HebbianState

    def strength(self, weight: Tensor, rate: Tensor | float) -> Tensor:
        """The strength s = rate g, `[B, L]`."""
        return weight * rate

    def updates(self, state: HebbianState, plan: "ChunkPlan", tokens: Tokens) -> Tensor:
        """S V, `[B, L, d]`."""
        return tokens.strength[..., None] * tokens.values

    def piece_length(self, chunk: int, d: int, ff: int, reads: bool) -> int | None:
        """The whole text, unless it is read too: writing alone needs no product between tokens."""
        return super().piece_length(chunk, d, ff, reads) if reads else None


def naive_step(dw: Tensor, key: Tensor, value: Tensor, rate_gate: Tensor, memo: dict) -> Tensor:
    """The oracle: what one token adds to dW `[d, ff]`; `rate_gate` is rate times gate."""
    return rate_gate * torch.outer(value, key)
