"""What every update rule keeps of a text: a state class, and how states are put together.

B is the number of rows, S that of tokens kept.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import UserError

if TYPE_CHECKING:
    from .factors import FactorState

# Keep factors until they take twice the space of the dense form: folding costs as much as reading
# as many tokens as are folded.
KEEP_FACTORS = 2


@dataclass(frozen=True, eq=False)
class RuleState(ABC):
    """What one layer has written by one rule: B rows of the change dW `[B, d, ff]` of its weight.

    A frozen dataclass of tensors whose first dimension is B. The fields named in `TOKENS` hold S
    tokens of each row, `[B, S, ...]`, padded with zeros. Those in `SUMS` hold the sums of all
    tokens that were folded, and are None, all of them, until the first fold. Those in `ROWS` hold
    numbers of a row, `[B, n]`, and are None where all are zero. Every method returns a new state
    and keeps gradients.
    """

    TOKENS: ClassVar[tuple[str, ...]]
    SUMS: ClassVar[tuple[str, ...]]
    ROWS: ClassVar[tuple[str, ...]] = ()
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
        """All tensors by field name; those that are None are left out."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: t for name, t in found.items() if t is not None}

    @classmethod
    def from_tensors(cls, found: dict[str, Tensor], batch: int, sizes: tuple[int, int]) -> Self:
        """The state of `batch` rows whose `tensors` are `found`; they are taken out of it.

        Raises:
            KeyError: one is missing.
        """
        names = [*cls.TOKENS, *(cls.SUMS if cls.SUMS[0] in found else ())]
        names += [name for name in cls.ROWS if name in found]
        return cls(**{name: found.pop(name) for name in names})

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply `function` to every tensor."""
        return replace(self, **{name: function(t) for name, t in self.tensors().items()})

    def to(self, *args: object, **kwargs: object) -> Self:
        """Move or cast like `Tensor.to`."""
        return self.map(lambda t: t.to(*args, **kwargs))

    def reset(self, gone: Tensor) -> Self:
        """Empty the rows where `gone` `[B]` bool."""
        return self.map(lambda t: t.masked_fill(gone.view(-1, *[1] * (t.ndim - 1)), 0))

    def readable(self) -> "FactorState":
        """The same dW in the form that is read.

        If that is another form than the one that is written, nothing more can be written to it.

        Computed once and kept with the state, which never changes; but not for a state with
        gradients, since a graph serves one backward pass.

        Raises:
            UserError: without gradients, it is not finite.
        """
        tensors = self.tensors().values()
        if any(t.requires_grad for t in tensors):
            return self.make_readable()
        kept = vars(self).get("_readable")
        if kept is None:
            # What is made in inference mode could not be used in training later.
            with torch.inference_mode(any(t.is_inference() for t in tensors)):
                kept = self.make_readable()
            kept.require_finite()
            object.__setattr__(self, "_readable", kept)  # the dataclass is frozen
        return kept

    def require_finite(self) -> None:
        """Refuse numbers that nothing can be read from; a state is looked at once.

        Raises:
            UserError: some number is not finite.
        """
        if "_finite" in vars(self):
            return
        if not all(t.isfinite().all() for t in self.tensors().values()):
            raise UserError(
                "the fast weights are not finite: too much was written that is alike, such as one"
                " token many thousand times, or what was written was not finite itself"
            )
        object.__setattr__(self, "_finite", True)  # the dataclass is frozen

    def __getstate__(self) -> dict[str, object]:
        """All fields; the readable form that is kept is neither copied nor pickled."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

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

    def age(self, factor: Tensor) -> Self:
        """Make all that each row holds weigh `factor` `[B]` times as much, in (0, 1].

        By default that is dW itself. A rule that weighs its tokens against each other may change
        their weights instead, as `mesa` does.
        """
        return self.scale(factor[:, None, None])

    def trim(self) -> Self:
        """The same state without tokens that add nothing; the others are packed to the left."""
        used = self.used()
        if used.all():
            return self
        order = used.long().argsort(dim=1, descending=True, stable=True)
        order = order[:, : int(used.sum(1).max())]
        rows = torch.arange(len(used), device=used.device)[:, None]
        gone = ~used[rows, order]

        def packed(t: Tensor) -> Tensor:
            return t[rows, order].masked_fill(gone.view(*gone.shape, *[1] * (t.ndim - 2)), 0)

        return replace(self, **{name: packed(getattr(self, name)) for name in self.TOKENS})

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

    def joined_to(self, others: Sequence[Self]) -> Self:
        """The rows of this state followed by those of the others, of the same class."""
        parts = [self, *others]
        if any(part.folded for part in parts):
            parts = [part if part.folded else part.fold() for part in parts]
        rows = [n for n in self.ROWS if any(getattr(p, n) is not None for p in parts)]
        parts = [replace(p, **{n: _or_zeros(p, n) for n in rows}) for p in parts]
        names = parts[0].tensors()
        return replace(parts[0], **{n: stack_rows([getattr(p, n) for p in parts]) for n in names})

    def merge(self, texts: Self) -> Self:
        """Every row joined by all rows of `texts`, as if they were part of its last text.

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


def concat(parts: Sequence[RuleState]) -> RuleState:
    """Stack the rows of states of one rule; token positions are padded with zeros on the right.

    Raises:
        ValueError: the states are of two rules, or some can only be read.
    """
    require_one_rule(parts)
    return parts[0].joined_to(parts[1:])


def _or_zeros(part: RuleState, name: str) -> Tensor:
    """The numbers of each row `[B, 1]` of that name; zeros for None."""
    found = getattr(part, name)
    first = getattr(part, part.TOKENS[0])
    return first.new_zeros(len(first), 1) if found is None else found


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
