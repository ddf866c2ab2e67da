"""What one layer has to remember, one row per sequence: its tokens as they were, or summed up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional as F

from .least_squares import Factors, Solution, Sums, product


def full_precision(t: Tensor) -> torch.autocast:
    """Autocast off on t's device: the memory is summed in the precision it is kept in."""
    return torch.autocast(t.device.type, enabled=False)


# The solutions of memories that were read. Beside them, so that they are neither saved nor copied.
_SOLVED: WeakKeyDictionary["LayerState", "LayerState"] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class LayerState:
    """The memory of one layer, B rows of S tokens; float32 or float64.

    With K the keys, V the values, S the diagonal of the counts, D the dense part and A the gram,
    the change of the layer's `down_proj` weight is

        dW = D + V^T K                              a sum: updates "hebbian" and "delta"
        dW = (D + V^T S K) (1 + A + K^T S K)^-1     least squares: update "mesa"

    Learning rate, gate, decay and correction are in V or S: reading needs no configuration. Tokens
    only add up, so writing more or joining two solves nothing; `solve` does, before it is read.

    A row that wrote fewer tokens than another holds zeros in `values`, or in `counts`; one with
    fewer tokens pending holds anything beyond its count (`FastState.pending`).
    """

    keys: Tensor  # [B, S, ff]
    values: Tensor  # [B, S, d]
    counts: Tensor  # [B, S], least squares: how much each token counts; else [B, 0]
    dense: Tensor  # [B, d, ff], or [0, d, ff] as long as nothing was folded
    gram: Tensor  # [B, ff, ff], least squares: of what was folded, and else [0, ff, ff]
    pending_z: Tensor  # [B, P, ff]: the tokens of the chunk that is not yet full
    pending_target: Tensor  # [B, P, d]
    pending_weight: Tensor  # [B, P]

    @classmethod
    def empty(cls, batch: int, d: int, ff: int, like: Tensor) -> Self:
        """Nothing written: what is recalled is exactly zero."""
        shapes = [(batch, 0, ff), (batch, 0, d), (batch, 0)]  # keys, values, counts
        shapes += [(0, d, ff), (0, ff, ff)]  # dense, gram
        shapes += [(batch, 0, ff), (batch, 0, d), (batch, 0)]  # pending
        return cls(*(like.new_zeros(shape) for shape in shapes))

    @property
    def blank(self) -> bool:
        """Whether nothing was written, by any rule."""
        return not self.keys.shape[1] and not len(self.dense)

    @property
    def weighed(self) -> bool:
        """Whether it is a least squares; else a sum, or nothing."""
        return self.counts.shape[1] > 0 or len(self.gram) > 0

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors; of least squares without the solution that is kept once read."""
        return sum(t.nbytes for t in self.parts())

    def parts(self) -> list[Tensor]:
        """All tensors, in the order of the fields."""
        return [getattr(self, f.name) for f in fields(self)]

    def weigh(self, keys: Tensor, values: Tensor, counts: Tensor) -> Self:
        """Least squares over n more tokens, which are only added to those that wait for `solve`.

        Of a memory that is least squares so far, or blank.

        Args:
            keys: `[B, n, ff]`, of length one: float32 cannot solve for longer ones.
            values: `[B, n, d]`.
            counts: `[B, n]`, 0 for what is not written.
        """
        if not keys.shape[1]:
            return self
        return replace(
            self,
            keys=joined(self.keys, keys),
            values=joined(self.values, values),
            counts=joined(self.counts, counts),
        )

    def solve(self) -> Self:
        """The same memory as a sum, which is what can be read, in the form it is in.

        Without gradients the solution is kept, so that what is read again is not solved again.
        """
        if not self.weighed:
            return self
        if any(t.requires_grad for t in self.parts()):  # a graph serves one backward pass
            return self._solve()
        if self not in _SOLVED:
            _SOLVED[self] = self._solve()
        return _SOLVED[self]

    def _solve(self) -> Self:
        # New and empty: a slice would keep what it is a part of.
        unweighed = {
            "counts": self.counts.new_empty(len(self.counts), 0),
            "gram": self.gram.new_empty(0, *self.gram.shape[1:]),
        }
        with full_precision(self.keys):
            if not len(self.dense):
                update = Factors.apply(self.keys @ self.keys.mT, self.counts, self.values)
                return replace(self, values=update, **unweighed)
            whole = self.fold()
            return replace(whole, dense=Solution.apply(whole.dense, whole.gram), **unweighed)

    def recall(self, z: Tensor) -> Tensor:
        """What dW gives for z `[B, T, ff]`: z dW^T, `[B, T, d]`."""
        memory = self.solve()
        out = product(torch.bmm(z, memory.keys.mT), memory.values)
        return torch.baddbmm(out, z, memory.dense.mT) if len(memory.dense) else out

    def to_dense(self) -> Tensor:
        """dW, `[B, d, ff]`."""
        return self.solve().fold().dense

    def outgrown(self, times: int = 1) -> bool:
        """Whether tokens take more than `times` the memory of the dense form: d ff numbers.

        By least squares that form is ff (d + ff) numbers, as many as ff tokens take, and no `times`
        of it is waited for: as tokens, more than ff would soon cost more to solve.
        """
        _, d, ff = self.dense.shape
        if self.weighed:
            return self.keys.shape[1] > ff
        return self.keys.shape[1] * (d + ff) > times * d * ff

    def fold(self) -> Self:
        """The same memory with its tokens summed up in the dense part and the gram."""
        if not self.keys.shape[1] and len(self.dense):
            return self
        gram = self.gram
        with full_precision(self.keys):
            if self.weighed:
                dense, new = Sums.apply(self.keys, self.values, self.counts)
                gram = new + gram if len(gram) else new
            else:
                dense = product(self.values.mT, self.keys)
        dense = dense + self.dense if len(self.dense) else dense
        # New and empty: a slice would keep what it is a part of.
        tokens = {name: getattr(self, name) for name in ("keys", "values", "counts")}
        none = {name: t.new_empty(len(t), 0, *t.shape[2:]) for name, t in tokens.items()}
        return replace(self, dense=dense, gram=gram, **none)

    def with_gram(self) -> Self:
        """The same dense memory with a gram: of zeros, if there is none."""
        if len(self.gram):
            return self
        ff = self.gram.shape[1]
        return replace(self, gram=self.dense.new_zeros(len(self.dense), ff, ff))

    def norm(self) -> Tensor:
        """Frobenius norm of dW, `[B]`; of factors without forming U^T K."""
        memory = self.solve()
        if len(memory.dense) or memory.outgrown():
            return memory.to_dense().flatten(1).norm(dim=1)
        keys, values = memory.keys, memory.values
        with full_precision(keys):
            square = (product(keys, keys.mT) * product(values, values.mT)).sum((1, 2))
        return square.clamp_min(0).sqrt()

    def scale(self, factor: float | Tensor) -> Self:
        """Multiply dW; a tensor `[B, 1, 1]` scales row by row. What is pending stays as it is."""
        dense = self.dense * factor if len(self.dense) else self.dense
        return replace(self, values=self.values * factor, dense=dense)

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply `function` to every tensor, save an absent dense part or gram."""
        absent = {name for name in ("dense", "gram") if not len(getattr(self, name))}
        named = zip(fields(self), self.parts(), strict=True)
        return type(self)(*(t if f.name in absent else function(t) for f, t in named))


def concat(parts: Sequence[LayerState]) -> LayerState:
    """Stack rows; tokens, written or pending, are padded on the right with zeros.

    Rows of one tensor are all dense or none is.

    Raises:
        ValueError: as `require_alike`.
    """
    require_alike(parts)
    if any(len(part.dense) for part in parts):
        parts = [part if len(part.dense) else part.fold() for part in parts]
    if any(len(part.gram) for part in parts):
        parts = [part.with_gram() for part in parts]

    def stack(tensors: tuple[Tensor, ...]) -> Tensor:
        width = max(t.shape[1] for t in tensors)
        return torch.cat([F.pad(t, _right(t, width - t.shape[1])) for t in tensors])

    columns = zip(*(part.parts() for part in parts), strict=True)
    return LayerState(*(stack(tensors) for tensors in columns))


def require_alike(parts: Sequence[LayerState]) -> None:
    """Refuse to put together what can go on as least squares and what is a sum.

    Raises:
        ValueError: there are both.
    """
    if len({part.weighed for part in parts if not part.blank}) > 1:
        raise ValueError("a memory that was solved, or of another rule, beside least squares")


def joined(before: Tensor, after: Tensor) -> Tensor:
    """`[B, S, ...]` and `[B, L, ...]` -> `[B, S + L, ...]`; nothing is copied without need."""
    return torch.cat([before, after], 1) if before.shape[1] else after


def _right(t: Tensor, columns: int) -> tuple[int, ...]:
    """Padding for `F.pad`: `columns` more on the right of dimension 1."""
    return (*(0, 0) * (t.ndim - 2), 0, columns)
