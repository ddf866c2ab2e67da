"""Least squares over all that was written ("mesa", after MesaNet, arXiv 2506.05233).

dW minimises  sum_t c_t ||v_t - dW k_t||^2 + ||dW||_F^2  over all tokens, with the counts
c_t = s_t / (1 - 0.99 s_t) and the strength s_t = 1 - exp(-rate g_t). With K the keys, V the values
and C the diagonal of the counts, this is

    dW = (P + V^T C K) (1 + A + K^T C K)^-1

where P and A are the sums of tokens that were folded. Tokens of a text have no order: writing more
and merging only add to what is kept, and the system is solved when it is read (`least_squares`).

A recency rho below 1 gives texts an age. When a text begins, the counts of all earlier tokens, P
and A are multiplied by rho, and so is the 1, here the ridge lambda:

    dW = (P + V^T C K) (lambda + A + K^T C K)^-1,   lambda = max(rho^texts, 0.001)

Of two equal keys the values then come back 1 / (1 + rho) to rho / (1 + rho), the later one's first.
A key that conflicts with no other comes back as whole as before: what matters is its count relative
to lambda. Once lambda stops at 0.001, after 10 texts at rho 0.5, the oldest texts begin to fade.

The sums are float64. A token counts up to 100 times, so a text that says one thing 60,000 times has
6e6 in A, and float32 would lose the 1 that is added to it.
"""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor

from . import least_squares
from .base import NOTHING, NUMBER_BYTES, Held, Tokens, UpdateRule
from .factors import FactorState
from .products import at_least_float32, full_precision
from .states import RuleState

if TYPE_CHECKING:
    from ..chunks import ChunkPlan

ORDERED = False  # texts written apart and merged give the state of texts written in turn
# Chunks have no order, and float32 cannot solve for keys longer than one.
REQUIRES = {"decay": 1.0, "key_norm": "l2"}


@dataclass(frozen=True, eq=False)
class MesaState(RuleState):
    """Tokens and sums of a least-squares problem that has not been solved yet, B rows."""

    TOKENS: ClassVar = ("keys", "values", "counts")
    SUMS: ClassVar = ("products", "gram")
    ROWS: ClassVar = ("aged",)
    mergeable: ClassVar = not ORDERED

    keys: Tensor  # [B, S, ff], K, of length one
    values: Tensor  # [B, S, d], V
    counts: Tensor  # [B, S], diagonal of C; zero where a row has fewer tokens than another
    products: Tensor | None = None  # [B, d, ff] float64, P
    gram: Tensor | None = None  # [B, ff, ff] float64, A
    aged: Tensor | None = None  # [B, 1], -log lambda; None: lambda is 1

    @classmethod
    def empty(cls, batch: int, d: int, ff: int, like: Tensor) -> Self:
        """A problem without tokens: its solution is exactly zero."""
        return cls(
            *(like.new_zeros(shape) for shape in [(batch, 0, ff), (batch, 0, d), (batch, 0)])
        )

    @property
    def sizes(self) -> tuple[int, int]:
        """The widths d and ff."""
        return self.values.shape[2], self.keys.shape[2]

    def used(self) -> Tensor:
        """`[B, S]` bool: where a token counts."""
        return self.counts.ne(0)

    def sum_tokens(self) -> dict[str, Tensor]:
        """V^T C K and K^T C K."""
        tokens = (getattr(self, name).double() for name in self.TOKENS)
        with full_precision(self.keys):
            sums = least_squares.Sums.apply(*tokens)
        return dict(zip(self.SUMS, sums, strict=True))

    def to(self, *args: object, **kwargs: object) -> Self:
        """Move or cast like `Tensor.to`. Sums are moved alone: in fewer bits they have no use."""
        device = self.counts.new_empty(0).to(*args, **kwargs).device
        sums = {n: getattr(self, n).to(device) for n in self.SUMS if self.folded}
        return replace(super().to(*args, **kwargs), **sums)

    def outgrown(self, times: int = 1) -> bool:
        """Whether there are more than ff tokens, the size of the folded form.

        `times` is not waited for: more than ff tokens soon cost more to solve than the sums do.
        """
        return self.token_count > self.keys.shape[2]

    def make_readable(self) -> FactorState:
        """The solution: U^T K in as many unknowns as tokens, or dense once anything is folded."""
        empty = FactorState.empty(len(self.keys), *self.sizes, self.keys)
        if not self.folded and not self.token_count:
            return empty
        dtype = self.keys.dtype
        with full_precision(self.keys):
            if self.folded:
                whole = self._without_ridge(self.fold())
                solved = least_squares.Solution.apply(whole.products, whole.gram)
                return replace(empty, dense=solved.to(dtype))
            # There is no Cholesky factor in half precision.
            whole = self._without_ridge(self.map(at_least_float32))
            gram = whole.keys @ whole.keys.mT
            solved = least_squares.Factors.apply(gram, whole.counts, whole.values)
            return FactorState(self.keys, solved.to(dtype))

    def age(self, factor: Tensor) -> Self:
        """Multiply counts, sums and the ridge lambda by `factor` `[B]`."""
        aged = -factor.log()[:, None]
        aged = aged if self.aged is None else self.aged + aged
        state = self._weighed(factor)
        return replace(state, aged=aged.clamp(max=-math.log(least_squares.LEAST_RIDGE)))

    def _weighed(self, factor: Tensor) -> Self:
        """All counts and sums times `factor` `[B]`."""
        sums = {n: getattr(self, n) for n in self.SUMS if self.folded}
        sums = {n: t * factor[:, None, None] for n, t in sums.items()}
        return replace(self, counts=self.counts * factor[:, None], **sums)

    @staticmethod
    def _without_ridge(state: "MesaState") -> "MesaState":
        """The same problem with lambda 1: everything divided by lambda."""
        return state if state.aged is None else state._weighed(state.aged[:, 0].exp())

    def scale(self, factor: float | Tensor) -> Self:
        """Multiply dW, which is linear in the values."""
        products = None if self.products is None else self.products * factor
        return replace(self, values=self.values * factor, products=products)


class Rule(UpdateRule):
    """Keep tokens with their counts; solve when the state is read."""

    State = MesaState
    sum_bytes = 8

    def strength(self, weight: Tensor, rate: Tensor | float) -> Tensor:
        """The strength s = 1 - exp(-rate g), `[B, L]`.

        For an isolated key it is the fraction of its value that is returned, to one percent.
        """
        return -torch.expm1(-(weight * rate))

    def write(
        self, state: MesaState, plan: "ChunkPlan", tokens: Tokens, queries: Tensor | None
    ) -> tuple[Tensor | None, MesaState]:
        """Keep the tokens of full chunks; see `UpdateRule.write`."""
        counts = least_squares.counts(tokens.strength * plan.written)
        kept = {"keys": tokens.keys, "values": tokens.values, "counts": counts}
        kept = {name: t[:, : plan.count] for name, t in kept.items()}
        out = None if queries is None else self._read(state, plan, queries, kept)
        return out, state.append(**kept) if plan.count else state

    def _read(
        self, state: MesaState, plan: "ChunkPlan", z: Tensor, tokens: dict[str, Tensor]
    ) -> Tensor:
        """What each token reads, `[B, T, d]`: the problem is solved again after each chunk."""
        read = state.read(z)
        for chunk, start in enumerate(range(0, plan.count, plan.chunk)):
            state = state.append(**{n: t[:, start : start + plan.chunk] for n, t in tokens.items()})
            # Fold at once, or each later chunk would sum up the same tokens again.
            state = state.fold() if state.folded else state
            read = torch.where(plan.text_chunk[..., None] > chunk, state.read(z), read)
        return read

    def piece_length(self, chunk: int, d: int, ff: int, reads: bool) -> int | None:
        """About ff tokens, after which they are folded."""
        return (ff // chunk + 1) * chunk

    def token_numbers(self, d: int, ff: int, held: Held) -> int:
        """Key, value and count; once readable the count is gone."""
        return d + ff + (not held.readable)

    def folded_numbers(self, d: int, ff: int, held: Held) -> int:
        """Products and Gram matrix; once readable the Gram matrix is gone."""
        return d * ff if held.readable else (d + ff) * ff

    def is_outgrown(self, d: int, ff: int, held: Held, times: int) -> bool:
        """More than ff tokens."""
        return super().is_outgrown(d, ff, held, times) if held.readable else held.tokens > ff

    def readable_flops(self, d: int, ff: int, held: Held) -> tuple[int, Held]:
        """Cholesky and two substitutions, in as many unknowns as tokens or as ff."""
        if held.readable or held == NOTHING:
            return 0, held
        n = held.tokens
        if held.folded:
            flops = ff**3 // 3 + 2 * ff * ff * d + self.fold_flops(d, ff, held)
            return flops, Held(0, True, True)
        return 2 * n * n * (ff + d) + n**3 // 3, replace(held, readable=True)

    def readable_working(self, d: int, ff: int, held: Held) -> tuple[int, int]:
        """The system, its Cholesky factor and the right-hand side; unfolded keys are shared."""
        side = ff if held.folded else held.tokens
        width = self.sum_bytes if held.folded else NUMBER_BYTES
        shared = 0 if held.folded else held.tokens * ff
        return width * (2 * side * side + side * d), NUMBER_BYTES * shared

    def read_while_writing_flops(
        self, d: int, ff: int, tokens: int, held: Held, chunk: int, later: bool
    ) -> int:
        """The problem is solved, and all tokens read, before the piece and after each chunk."""
        solving, readable = self.readable_flops(d, ff, held)
        # What the text began with was solved before it was written.
        flops = tokens * self.read_flops(d, ff, readable) + later * solving
        for start in range(0, tokens, chunk):
            held = replace(held, tokens=held.tokens + min(chunk, tokens - start))
            if held.folded:
                flops += self.fold_flops(d, ff, held)
                held = Held(0, True)
            solving, readable = self.readable_flops(d, ff, held)
            flops += solving + tokens * self.read_flops(d, ff, readable)
        return flops


def naive_step(dw: Tensor, key: Tensor, value: Tensor, rate_gate: Tensor, memo: dict) -> Tensor:
    """The oracle: what one token adds to dW `[d, ff]`, by recursive least squares.

    `rate_gate` is rate times gate; `memo` keeps the inverse of lambda + sum of c k k^T between
    tokens.
    """
    inverse = memo.get("inverse", torch.eye(len(key), dtype=key.dtype))
    strength = 1 - torch.exp(-rate_gate)
    count = strength / (1 - least_squares.SOLVABLE * strength)
    error = value - dw @ key
    direction = inverse @ key
    gain = direction / (1 + count * key @ direction)
    memo["inverse"] = inverse - count * torch.outer(direction, gain)
    return count * torch.outer(error, gain)


def naive_age(dw: Tensor, factor: Tensor, memo: dict) -> Tensor:
    """The oracle: dW `[d, ff]` after a text begins; `memo` also keeps lambda."""
    if "inverse" not in memo:
        return dw
    ridge, eye = memo.get("ridge", factor.new_ones(())), torch.eye(dw.shape[1], dtype=dw.dtype)
    system = memo["inverse"].inverse()
    gram, products = factor * (system - ridge * eye), factor * dw @ system
    memo["ridge"] = (factor * ridge).clamp_min(least_squares.LEAST_RIDGE)
    memo["inverse"] = (gram + memo["ridge"] * eye).inverse()
    return products @ memo["inverse"]
