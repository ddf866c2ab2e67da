"""What every update rule provides: a state class, how tokens are written into it, and its costs.

A rule is a file with a class `Rule`; the built-in ones stand beside this file, and
docs/update-rules.md shows how to write one. B is the number of rows, L that of packed tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from ..chunks import ChunkPlan
    from .factors import FactorState

# Keep factors until they take twice the space of the dense form: folding costs as much as reading
# as many tokens as are folded.
KEEP_FACTORS = 2


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of one piece of text, packed to the left of each row."""

    keys: Tensor  # [B, L, ff]
    values: Tensor  # [B, L, d]
    strength: Tensor  # [B, L], see `UpdateRule.strength`


@dataclass(frozen=True, eq=False)
class RuleState(ABC):
    """What one layer has written by one rule: B rows of the change dW `[B, d, ff]` of its weight.

    A frozen dataclass of tensors whose first dimension is B. The fields named in `TOKENS` hold S
    tokens of each row, `[B, S, ...]`, padded with zeros. Those in `SUMS` hold the sums of all
    tokens that were folded, and are None, all of them, until the first fold. Every method returns
    a new state and keeps gradients.
    """

    TOKENS: ClassVar[tuple[str, ...]]
    SUMS: ClassVar[tuple[str, ...]]
    mergeable: ClassVar[bool] = False  # whether states of texts written apart add up exactly

    @classmethod
    @abstractmethod
    def empty(cls, batch: int, d: int, ff: int, like: Tensor) -> Self:
        """A state of which nothing is written, with the dtype and device of `like`."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, int]:
        """The widths d and ff."""

    @abstractmethod
    def used(self) -> Tensor:
        """`[B, S]` bool: which token positions hold more than padding."""

    @abstractmethod
    def sum_tokens(self) -> dict[str, Tensor]:
        """The sums, by the names in `SUMS`, of the tokens that are not folded."""

    @abstractmethod
    def outgrown(self, times: int = 1) -> bool:
        """Whether the tokens take more than `times` the space of the folded form."""

    @abstractmethod
    def make_readable(self) -> "FactorState":
        """The change dW in the form that is read; see `readable`, which keeps the result."""

    @property
    def token_count(self) -> int:
        """S, the tokens of a row that are not folded, padding included."""
        return getattr(self, self.TOKENS[0]).shape[1]

    @property
    def folded(self) -> bool:
        """Whether any token has been folded into the sums."""
        return getattr(self, self.SUMS[0]) is not None

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors, without the readable form that may be kept beside them."""
        return sum(t.nbytes for t in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by field name; sums that are absent are left out."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: t for name, t in found.items() if t is not None}

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply `function` to every tensor."""
        return replace(self, **{name: function(t) for name, t in self.tensors().items()})

    def readable(self) -> "FactorState":
        """The same dW in the form that is read.

        If that is another form than the one that is written, nothing more can be written to it.

        Computed once and kept with the state, which never changes; but not for a state with
        gradients, since a graph serves one backward pass.
        """
        tensors = self.tensors().values()
        if any(t.requires_grad for t in tensors):
            return self.make_readable()
        kept = vars(self).get("_readable")
        if kept is None:
            # What is made in inference mode could not be used in training later.
            with torch.inference_mode(any(t.is_inference() for t in tensors)):
                kept = self.make_readable()
            object.__setattr__(self, "_readable", kept)  # the dataclass is frozen
        return kept

    def __getstate__(self) -> dict[str, object]:
        """All fields; the readable form that is kept is neither copied nor pickled."""
        return {name: value for name, value in vars(self).items() if name != "_readable"}

    def read(self, z: Tensor) -> Tensor:
        """The product z dW^T, `[B, T, d]`, for z `[B, T, ff]`."""
        return self.readable().read(z)

    def to_dense(self) -> Tensor:
        """dW, `[B, d, ff]`."""
        return self.readable().to_dense()

    def norm(self) -> Tensor:
        """Frobenius norm of dW, `[B]`."""
        return self.readable().norm()

    @abstractmethod
    def scale(self, factor: float | Tensor) -> Self:
        """Multiply dW; a tensor `[B, 1, 1]` scales row by row."""

    def append(self, **tokens: Tensor) -> Self:
        """The state with further tokens, by the names in `TOKENS`."""
        return replace(self, **{n: joined(getattr(self, n), t) for n, t in tokens.items()})

    def fold(self) -> Self:
        """The same dW with all tokens summed up in `SUMS`."""
        if self.folded and not self.token_count:
            return self
        sums = self.sum_tokens()
        if self.folded:
            sums = {name: t + getattr(self, name) for name, t in sums.items()}
        # Allocate the empty tensors anew: a slice of no tokens would keep the whole tensor alive.
        tokens = {name: getattr(self, name) for name in self.TOKENS}
        none = {name: t.new_empty(len(t), 0, *t.shape[2:]) for name, t in tokens.items()}
        return replace(self, **sums, **none)

    def index(self, rows: Tensor) -> Self:
        """The given rows; token positions that none of them uses are dropped."""
        state = self.map(lambda t: t[rows])
        used = state.used().detach().any(0)
        return replace(state, **{name: getattr(state, name)[:, used] for name in self.TOKENS})

    def merge(self, texts: Self) -> Self:
        """Every row joined by all rows of `texts`, as if they had been written one by one.

        Both are folded. N rows of T tokens each add N T tokens to every one of the B rows, for the
        cost of writing N T tokens instead of B N T.

        Raises:
            ValueError: the rule depends on the order of tokens, or the states are of two rules.
        """
        require_one_rule([self, texts])
        if not self.mergeable:
            raise ValueError(f"{type(self).__name__}: states of this rule do not add up")
        tokens = {n: getattr(texts, n).flatten(0, 1)[None] for n in self.TOKENS}
        sums = {n: getattr(texts, n) for n in self.SUMS}
        sums = {n: None if t is None else t.sum(0, keepdim=True) for n, t in sums.items()}
        ours, theirs = self.fold(), replace(texts, **tokens, **sums).fold()
        return replace(ours, **{n: getattr(ours, n) + getattr(theirs, n) for n in self.SUMS})


@dataclass(frozen=True)
class Held:
    """What one layer's state of one row holds, as sizes, for the cost model."""

    tokens: int  # not folded
    folded: bool
    readable: bool = False  # in the form that `RuleState.readable` returns


NOTHING = Held(0, False)


class UpdateRule(ABC):
    """How tokens change dW, and what that costs.

    The rate and the gate belong to the layer; they reach the rule as `strength`. A rule keeps
    nothing between calls: all that it has written is in its state.
    """

    State: ClassVar[type[RuleState]]

    @abstractmethod
    def strength(self, weight: Tensor, rate: Tensor | float) -> Tensor:
        """How strongly each token is written, `[B, L]`, from its gate and the learning rate.

        Args:
            weight: `[B, L]`, gate times `write_weight`; at least 0.
            rate: the layer's learning rate, a positive scalar.
        """

    @abstractmethod
    def write(
        self, state: RuleState, plan: "ChunkPlan", tokens: Tokens, queries: Tensor | None
    ) -> tuple[Tensor | None, RuleState]:
        """Write the tokens of `plan`'s full chunks.

        Args:
            state: an instance of `State`; it is not changed.
            plan: which token falls in which chunk, and which are written now.
            tokens: the packed tokens; positions beyond `plan.valid` hold anything.
            queries: None, or z of the text `[B, T, ff]`: also return what each token reads,
                dW from before its own chunk.

        Returns:
            What was read `[B, T, d]`, or None, and the state afterwards.
        """

    def piece_length(self, chunk: int, d: int, ff: int, reads: bool) -> int | None:
        """The most tokens of a text to write at once, whole chunks; None for all of them.

        With dense sums, a token of a piece of L tokens costs L (d + ff) for the products inside the
        piece and 2 d ff for the sums from before it. At L = 4 d ff / (d + ff) the second is a third
        of the whole. `reads`: the text is also read while it is written.
        """
        return (4 * d * ff // (d + ff) // chunk + 1) * chunk

    # Costs of one row and one layer: numbers kept, and FLOPs (a multiply-add counts as two).

    def token_numbers(self, d: int, ff: int, held: Held) -> int:
        """Numbers kept of a token that is not folded."""
        return d + ff

    def folded_numbers(self, d: int, ff: int, held: Held) -> int:
        """Numbers of the folded form."""
        return d * ff

    def is_outgrown(self, d: int, ff: int, held: Held, times: int) -> bool:
        """`RuleState.outgrown` of a state of these sizes."""
        tokens = held.tokens * self.token_numbers(d, ff, held)
        return tokens > times * self.folded_numbers(d, ff, held)

    def fold_flops(self, d: int, ff: int, held: Held) -> int:
        """FLOPs of folding."""
        return 2 * held.tokens * self.folded_numbers(d, ff, held)

    def read_flops(self, d: int, ff: int, held: Held) -> int:
        """FLOPs of reading one token from a readable state."""
        return 2 * held.tokens * (d + ff) + 2 * d * ff * held.folded

    def update_flops(self, d: int, ff: int, tokens: int, held: Held) -> int:
        """FLOPs of the rule's own part of writing a piece; keys and values are not its part."""
        return 0

    def read_while_writing_flops(
        self, d: int, ff: int, tokens: int, held: Held, chunk: int, later: bool
    ) -> int:
        """FLOPs that reading a piece while it is written adds; `later`: a piece came before it."""
        return tokens * (2 * tokens * (d + ff) + self.read_flops(d, ff, held))

    def readable_flops(self, d: int, ff: int, held: Held) -> tuple[int, Held]:
        """FLOPs of `RuleState.make_readable`, and the sizes of what it returns."""
        return 0, held

    def readable_working(self, d: int, ff: int, held: Held) -> tuple[int, int]:
        """Numbers that `make_readable` needs beside the states before and after, and shares.

        Shared are the numbers of tensors that are the same in both states.
        """
        return 0, 0


def concat(parts: Sequence[RuleState]) -> RuleState:
    """Stack the rows of states of one rule; token positions are padded with zeros on the right.

    Raises:
        ValueError: the states are of two rules, or some can only be read.
    """
    require_one_rule(parts)
    if any(part.folded for part in parts):
        parts = [part if part.folded else part.fold() for part in parts]
    names = parts[0].tensors()
    return replace(parts[0], **{n: stack_rows([getattr(p, n) for p in parts]) for n in names})


def require_one_rule(parts: Sequence[RuleState]) -> None:
    """Refuse to put together states of two rules, or one that can only be read beside others.

    Raises:
        ValueError: names both classes.
    """
    if len({type(part) for part in parts}) > 1:
        kinds = sorted(type(part).__name__ for part in parts)
        raise ValueError(
            f"found states of {' and '.join(dict.fromkeys(kinds))}; expected states of one rule,"
            " all as `write` left them or all readable"
        )


def joined(before: Tensor, after: Tensor) -> Tensor:
    """`[B, S, ...]` and `[B, L, ...]` -> `[B, S + L, ...]`; nothing is copied without need."""
    return torch.cat([before, after], 1) if before.shape[1] else after


def stack_rows(tensors: Sequence[Tensor]) -> Tensor:
    """Rows of tensors `[B_i, S_i, ...]`, padded with zeros on the right of dimension 1."""
    width = max(t.shape[1] for t in tensors)
    padded = [F.pad(t, (*(0, 0) * (t.ndim - 2), 0, width - t.shape[1])) for t in tensors]
    return torch.cat(padded)
