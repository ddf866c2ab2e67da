"""A change of weights kept as factors, dW = D + U^T K, and the rules that write it directly.

K `[S, ff]` are keys, U `[S, d]` what is written for them, D `[d, ff]` the sum of what was folded.
Every rule is read in this form; rules that are sums over tokens are written in it, too.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor

from .base import Tokens, UpdateRule
from .products import full_precision, product
from .states import RuleState

if TYPE_CHECKING:
    from ..chunks import ChunkPlan


@dataclass(frozen=True, eq=False)
class FactorState(RuleState):
    """B rows of dW = D + U^T K. Rate, gate and decay are in U: reading needs no configuration."""

    TOKENS: ClassVar = ("keys", "values")
    SUMS: ClassVar = ("dense",)

    keys: Tensor  # [B, S, ff], K
    values: Tensor  # [B, S, d], U; zero where a row has fewer tokens than another
    dense: Tensor | None = None  # [B, d, ff], D

    @classmethod
    def empty(cls, batch: int, d: int, ff: int, like: Tensor) -> Self:
        """A state of which nothing is written: what is read is exactly zero."""
        return cls(like.new_zeros(batch, 0, ff), like.new_zeros(batch, 0, d))

    @property
    def sizes(self) -> tuple[int, int]:
        """The widths d and ff."""
        return self.values.shape[2], self.keys.shape[2]

    def used(self) -> Tensor:
        """`[B, S]` bool: where anything is written."""
        return self.values.ne(0).any(-1)

    def sum_tokens(self) -> dict[str, Tensor]:
        """U^T K."""
        with full_precision(self.keys):
            return {"dense": product(self.values.mT, self.keys)}

    def outgrown(self, times: int = 1) -> bool:
        """Whether the factors take more than `times` the d ff numbers of the dense form."""
        d, ff = self.sizes
        return self.token_count * (d + ff) > times * d * ff

    def make_readable(self) -> "FactorState":
        """Itself: this is the form that is read."""
        return self

    def readable(self) -> "FactorState":
        """Itself, if it is finite or has gradients."""
        if not any(t.requires_grad for t in self.tensors().values()):
            self.require_finite()
        return self

    def read(self, z: Tensor) -> Tensor:
        """The sum z D^T + (z K^T) U, `[B, T, d]`, for z `[B, T, ff]`."""
        out = product(torch.bmm(z, self.keys.mT), self.values)
        return out if self.dense is None else torch.baddbmm(out, z, self.dense.mT)

    def to_dense(self) -> Tensor:
        """dW, `[B, d, ff]`."""
        return self.fold().dense

    def norm(self) -> Tensor:
        """Frobenius norm of dW, `[B]`; of factors without forming U^T K."""
        if self.folded or self.outgrown():
            return self.to_dense().flatten(1).norm(dim=1)
        keys, values = self.keys, self.values
        with full_precision(keys):
            square = (product(keys, keys.mT) * product(values, values.mT)).sum((1, 2))
        return square.clamp_min(0).sqrt()

    def scale(self, factor: float | Tensor) -> Self:
        """Multiply dW; a tensor `[B, 1, 1]` scales row by row."""
        dense = None if self.dense is None else self.dense * factor
        return replace(self, values=self.values * factor, dense=dense)


class FactorRule(UpdateRule):
    """A rule that is given by U: what to write for each key. Subclasses define `updates`.

    With c(t) the chunk of token t and dW the change before the call:

        O  = decay^c(t) z_t dW^T + (M * (Z K^T)) U          what token t reads
        dW <- decay^n dW + sum_s decay^(n-1-c(s)) u_s k_s^T  n chunks are written

    where M[t, s] = decay^(c(t)-1-c(s)) if c(s) < c(t), else 0: a token reads the chunks before its
    own.
    """

    @abstractmethod
    def updates(self, state: FactorState, plan: "ChunkPlan", tokens: Tokens) -> Tensor:
        """U `[B, L, d]`: what to write for the keys of `tokens`, without decay."""

    def write(
        self, state: FactorState, plan: "ChunkPlan", tokens: Tokens, queries: Tensor | None
    ) -> tuple[Tensor | None, FactorState]:
        """Add the tokens of full chunks; see `UpdateRule.write`."""
        update = self.updates(state, plan, tokens)
        out = None if queries is None else _read(state, plan, queries, tokens.keys, update)
        return out, _append(state, plan, tokens.keys, update)


def _read(state: FactorState, plan: "ChunkPlan", z: Tensor, keys: Tensor, update: Tensor) -> Tensor:
    """O `[B, T, d]`: what each token reads."""
    old = state.read(z) * plan.fade(plan.text_chunk)[..., None].to(z)
    return torch.baddbmm(old, (z @ keys.mT) * plan.text_mask.to(z), update)


def _append(state: FactorState, plan: "ChunkPlan", keys: Tensor, update: Tensor) -> FactorState:
    """The state with the chunks that are written now."""
    kept = plan.fade(plan.chunks)[:, None, None].to(keys)
    later = plan.chunks[:, None] - 1 - plan.key_chunk
    update = update * (plan.written * plan.fade(later))[..., None].to(keys)
    state = state if plan.decay == 1 else state.scale(kept)
    return state.append(keys=keys[:, : plan.count], values=update[:, : plan.count])
