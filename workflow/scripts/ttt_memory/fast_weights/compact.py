"""A state in as few bytes as are allowed: each row by the largest singular values of its dW.

    dW ~ sum_r l_r r_r^T,   l_r, r_r = sqrt(s_r) times the singular vectors, for the largest s_r

kept as float32, bfloat16 or int8; or dW itself, where that takes less. For a given number of
vectors nothing is nearer to dW than its singular vectors. They can also be rounded: the factors of
a least-squares solution nearly cancel where keys are alike, and an error of one percent in them was
one of twenty in what is recalled. A compact state can only be read.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from .rules.factors import FactorState
from .rules.products import full_precision
from .rules.states import RuleState, concat

# In the order in which they are tried: of equal errors the smaller form is kept.
DTYPES = (torch.int8, torch.bfloat16, torch.float32)
LARGEST = 127  # of int8
SCALE_BYTES = 4
NOISE = 1e-6  # singular values below this share of the largest are rounding errors of float32


@dataclass(frozen=True, eq=False)
class Rounded:
    """A matrix `[n, m]`, rounded."""

    numbers: Tensor  # [n, m]: float32, bfloat16, or int8
    scale: Tensor | None = None  # [n, 1] float32: what the numbers of each line are multiplied by

    @classmethod
    def of(cls, matrix: Tensor, dtype: torch.dtype) -> Self:
        """`matrix` in `dtype`; int8 with the scale at which each line just fits."""
        if dtype != torch.int8:
            return cls(matrix.to(dtype))
        scale = matrix.abs().amax(1, keepdim=True) / LARGEST
        numbers = (matrix / scale.clamp_min(torch.finfo(scale.dtype).tiny)).round()
        return cls(numbers.to(dtype), scale.float())

    def restore(self, dtype: torch.dtype) -> Tensor:
        """The matrix in `dtype`."""
        numbers = self.numbers.to(dtype)
        return numbers if self.scale is None else numbers * self.scale.to(dtype)

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply `function` to both tensors."""
        scale = None if self.scale is None else function(self.scale)
        return type(self)(function(self.numbers), scale)

    @staticmethod
    def bytes_of(lines: int, columns: int, dtype: torch.dtype) -> int:
        """Bytes of such a matrix."""
        return lines * (columns * dtype.itemsize + SCALE_BYTES * (dtype == torch.int8))


@dataclass(frozen=True, eq=False)
class CompactRow:
    """dW `[d, ff]` of one sequence: by (left `[r, d]`, right `[r, ff]`), or by itself alone."""

    parts: tuple[Rounded, ...]

    @property
    def dense(self) -> bool:
        """Whether dW itself is kept."""
        return len(self.parts) == 1

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(t.nbytes for t in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """All tensors: of left and right, or of dense."""
        names = ("dense",) if self.dense else ("left", "right")
        pairs = list(zip(names, self.parts, strict=True))
        numbers = {name: part.numbers for name, part in pairs}
        return numbers | {f"{n}_scale": p.scale for n, p in pairs if p.scale is not None}

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply `function` to every tensor."""
        return replace(self, parts=tuple(part.map(function) for part in self.parts))

    def readable(self, dtype: torch.dtype) -> FactorState:
        """The same dW in `dtype`, one row."""
        parts = [part.restore(dtype)[None] for part in self.parts]
        if not self.dense:
            return FactorState(keys=parts[1], values=parts[0])
        (whole,) = parts
        return replace(FactorState.empty(1, *whole.shape[1:], whole), dense=whole)


@dataclass(frozen=True, eq=False)
class CompactState(RuleState):
    """Compact rows, each in a form of its own. `FastState.compact` makes them."""

    TOKENS: ClassVar = ()
    SUMS: ClassVar = ()

    rows: tuple[CompactRow, ...]
    shape: tuple[int, int]  # d and ff
    dtype: torch.dtype = torch.float32  # in which it is read

    @classmethod
    def empty(cls, batch: int, d: int, ff: int, like: Tensor) -> Self:
        """Rows of rank 0, which take no bytes."""
        parts = tuple(Rounded(like.new_zeros(0, width)) for width in (d, ff))
        return cls((CompactRow(parts),) * batch, (d, ff), like.dtype)

    @classmethod
    def from_tensors(cls, found: dict[str, Tensor], batch: int, sizes: tuple[int, int]) -> Self:
        """See `RuleState.from_tensors`."""
        return cls(tuple(_taken(found, f"{row}.") for row in range(batch)), sizes)

    @property
    def sizes(self) -> tuple[int, int]:
        """The widths d and ff."""
        return self.shape

    @property
    def token_count(self) -> int:
        """The largest rank of a row."""
        return max((len(row.parts[0].numbers) for row in self.rows if not row.dense), default=0)

    @property
    def folded(self) -> bool:
        """Whether a row keeps dW itself."""
        return any(row.dense for row in self.rows)

    def tensors(self) -> dict[str, Tensor]:
        """All tensors, by the number of the row and the name of the part."""
        return {f"{i}.{n}": t for i, row in enumerate(self.rows) for n, t in row.tensors().items()}

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply `function` to every tensor."""
        return replace(self, rows=tuple(row.map(function) for row in self.rows))

    def to(self, *args: object, **kwargs: object) -> Self:
        """Move like `Tensor.to`; what is kept is not cast, only what is read."""
        device = next((t.device for t in self.tensors().values()), None)
        like = torch.empty(0, dtype=self.dtype, device=device).to(*args, **kwargs)
        return replace(self.map(lambda t: t.to(like.device)), dtype=like.dtype)

    def index(self, rows: Tensor) -> Self:
        """The given rows."""
        return replace(self, rows=tuple(self.rows[row] for row in rows.tolist()))

    def reset(self, gone: Tensor) -> Self:
        """Empty the rows where `gone` `[B]`."""
        like = torch.empty(0, dtype=self.dtype, device=gone.device)
        none = self.empty(1, *self.sizes, like).rows[0]
        pairs = zip(self.rows, gone.tolist(), strict=True)
        return replace(self, rows=tuple(none if empty else row for row, empty in pairs))

    def joined_to(self, others: Sequence[Self]) -> Self:
        """The rows of this state followed by those of the others."""
        return replace(self, rows=sum((other.rows for other in others), self.rows))

    def used(self) -> Tensor:
        """`[B, S]` bool: the vectors of each row."""
        ranks = [0 if row.dense else len(row.parts[0].numbers) for row in self.rows]
        return torch.arange(self.token_count) < torch.tensor(ranks)[:, None]

    def sum_tokens(self) -> dict[str, Tensor]:
        """Nothing: a compact state is never folded."""
        return {}

    def outgrown(self, times: int = 1) -> bool:
        """Never: each row is in the smaller form."""
        return False

    def fold(self) -> Self:
        """Itself."""
        return self

    def trim(self) -> Self:
        """Itself."""
        return self

    def make_readable(self) -> FactorState:
        """All rows, in the type in which they are read."""
        return concat([row.readable(self.dtype) for row in self.rows])

    def scale(self, factor: float | Tensor) -> FactorState:
        """Multiply dW; what is returned is no longer compact."""
        return self.readable().scale(factor)


def compact(written: RuleState, limit: int) -> CompactState:
    """The rows of `written` in at most `limit` bytes each, with the smallest error of dW."""
    readable = written.readable()
    with torch.no_grad(), full_precision(readable.keys):
        count = torch.arange(len(readable.keys), device=readable.keys.device)
        rows = [readable.index(row[None]) for row in count]
        made = tuple(_compact_row(row, limit) for row in rows)
        return CompactState(made, readable.sizes, readable.keys.dtype)


def _compact_row(row: FactorState, limit: int) -> CompactRow:
    """The form of one row that is nearest to its dW."""
    candidates = list(_candidates(row, limit))
    errors = [_error(row, made) for made in candidates]
    return candidates[errors.index(min(errors))]


def _candidates(row: FactorState, limit: int) -> Iterator[CompactRow]:
    """In each type: as many singular vectors as there is room for, and dW itself if there is."""
    d, ff = row.sizes
    left, right = _singular(row)
    for dtype in DTYPES:
        rank = limit // (Rounded.bytes_of(1, d, dtype) + Rounded.bytes_of(1, ff, dtype))
        yield CompactRow(tuple(Rounded.of(vectors[:rank], dtype) for vectors in (left, right)))
        if Rounded.bytes_of(d, ff, dtype) <= limit:
            yield CompactRow((Rounded.of(row.to_dense()[0], dtype),))


def _singular(row: FactorState) -> tuple[Tensor, Tensor]:
    """Left `[r, d]` and right `[r, ff]` with dW = left^T right, the largest vectors first."""
    if row.folded or row.outgrown():
        left, values, right = torch.linalg.svd(row.to_dense()[0], full_matrices=False)
    else:  # of the small matrix between orthonormal bases of values and keys
        (left, a), (right, b) = (torch.linalg.qr(t[0].mT) for t in (row.values, row.keys))
        inner, values, outer = torch.linalg.svd(a @ b.mT)
        left, right = left @ inner, outer @ right.mT
    rank = int((values > NOISE * values.amax()).sum()) if len(values) else 0
    root = values[:rank].sqrt()
    return (left[:, :rank] * root).mT, right[:rank] * root[:, None]


def _error(row: FactorState, made: CompactRow) -> float:
    """||dW - made|| as Frobenius norm."""
    if made.dense:
        whole = row.to_dense()[0].double()
        return (whole - made.parts[0].restore(torch.float64)).norm().item()
    whole, kept = row.map(Tensor.double), made.readable(torch.float64)
    keys = torch.cat([whole.keys, kept.keys], 1)
    values = torch.cat([whole.values, -kept.values], 1)
    return FactorState(keys, values, whole.dense).norm().item()


def _taken(found: dict[str, Tensor], row: str) -> CompactRow:
    """The row whose tensors' names begin with `row`, taken out of `found`."""
    names = ("dense",) if f"{row}dense" in found else ("left", "right")
    return CompactRow(
        tuple(Rounded(found.pop(row + n), found.pop(f"{row}{n}_scale", None)) for n in names)
    )
