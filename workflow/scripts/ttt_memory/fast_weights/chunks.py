"""Which token falls in which chunk, and the tokens that wait for theirs to fill."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from .rules.states import joined


@dataclass(frozen=True, eq=False)
class ChunkPlan:
    """Which token of a piece of text falls in which chunk; shared by all layers.

    A row's pending tokens and its new tokens to write are packed to the left and start a chunk at
    position 0. So position p lies in chunk p // chunk in every row. T is the length of the text, L
    the largest number of packed tokens of a row.
    """

    chunk: int
    decay: float
    order: Tensor | None  # [B, L] index into [pending | text]; None: the text's first L tokens
    valid: Tensor  # [B, L] bool: a token stands at this position
    written: Tensor  # [B, L] bool: and its chunk is written now
    chunks: Tensor  # [B]: how many chunks are written now
    count: int  # the most tokens that a row writes now
    text_chunk: Tensor  # [B, T]: the chunk that each token of the text reads in
    left: Tensor  # [B]: tokens pending afterwards
    left_width: int  # the largest of them

    @classmethod
    def build(
        cls, pending: Tensor, width: int, mask: Tensor, chunk: int, decay: float, end: str
    ) -> Self:
        """The plan for `mask` `[B, T]` bool (tokens to write) after `pending` `[B]` tokens.

        `width` is how many columns hold the pending tokens; `end` says what becomes of a last,
        partial chunk: "wait" (the text goes on), "write" or "drop".
        """
        waiting = torch.arange(width, device=mask.device) < pending[:, None]
        present = torch.cat([waiting, mask], dim=1)
        total = present.sum(1)
        position = torch.arange(_largest(total), device=mask.device)
        valid = position < total[:, None]
        full = total // chunk * chunk
        done = total if end == "write" else full
        left = total - full if end == "wait" else torch.zeros_like(total)
        return cls(
            chunk=chunk,
            decay=decay,
            order=_order(present, valid),
            valid=valid,
            written=position < done[:, None],
            chunks=(done + chunk - 1) // chunk,
            count=_largest(done),
            text_chunk=(pending[:, None] + mask.cumsum(1) - mask.long()) // chunk,
            left=left,
            left_width=_largest(left),
        )

    @cached_property
    def key_chunk(self) -> Tensor:
        """`[L]`: the chunk of each packed position."""
        return torch.arange(self.valid.shape[1], device=self.valid.device) // self.chunk

    @cached_property
    def key_mask(self) -> Tensor:
        """`[L, L]`: weight of position s in what position t reads; also inside t's own chunk.

        decay^(c(t) - 1 - c(s)) for an earlier chunk c(s), and 1 for an earlier token of the same.
        """
        return self.fade(self.key_chunk[:, None] - self.key_chunk - 1).tril(-1)

    @cached_property
    def text_mask(self) -> Tensor:
        """`[B, T, L]`: weight of position s in what token t of the text reads.

        decay^(c(t) - 1 - c(s)) for an earlier chunk c(s), else 0: a token reads the chunks before
        its own.
        """
        gap = self.text_chunk[..., None] - self.key_chunk
        return (gap > 0) * self.fade(gap - 1)

    def fade(self, chunks: Tensor) -> Tensor:
        """decay^chunks in float64; True where there is no decay, which multiplies the same."""
        if self.decay == 1:
            return torch.ones_like(chunks, dtype=torch.bool)
        decay = torch.tensor(self.decay, dtype=torch.float64, device=chunks.device)
        return decay ** chunks.clamp_min(0)

    def pack(self, pending: Tensor, text: Tensor) -> Tensor:
        """`[B, P, ...]` and `[B, T, ...]` -> `[B, L, ...]`; anything stands beyond a row's end."""
        both = joined(pending, text)
        return both[:, : self.valid.shape[1]] if self.order is None else _take(both, self.order)

    def rest(self, packed: Tensor) -> Tensor:
        """The tokens left pending, `[B, P, ...]`; anything stands beyond a row's count."""
        column = torch.arange(self.left_width, device=packed.device)
        start = self.chunks * self.chunk
        return _take(packed, (start[:, None] + column).clamp(max=packed.shape[1] - 1))


@dataclass(frozen=True, eq=False)
class Pending:
    """Tokens that wait until their chunk is full; kept as they came, so that any rule takes them.

    A row with fewer of them than another holds anything beyond its own count.
    """

    z: Tensor  # [B, P, ff], input of down_proj
    target: Tensor  # [B, P, d], what values are made of
    weight: Tensor  # [B, P], gate times write weight

    @classmethod
    def empty(cls, batch: int, d: int, ff: int, like: Tensor) -> Self:
        """No token, with the dtype and device of `like`."""
        return cls(
            *(like.new_zeros(shape) for shape in [(batch, 0, ff), (batch, 0, d), (batch, 0)])
        )

    @property
    def width(self) -> int:
        """P, the most tokens that wait in a row."""
        return self.weight.shape[1]

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply `function` to every tensor."""
        return type(self)(function(self.z), function(self.target), function(self.weight))


def convolve(x: Tensor, taps: Tensor, chunk: int) -> Tensor:
    """y_t = sum_o taps[:, o] x_{t + o - width // 2} over the neighbours in t's chunk."""
    batch, length, d = x.shape
    chunk = max(1, min(chunk, length))
    chunks = -(-length // chunk)
    x = F.pad(x, (0, 0, 0, chunks * chunk - length)).reshape(batch * chunks, chunk, d)
    y = F.conv1d(x.mT, taps[:, None], padding=taps.shape[1] // 2, groups=d)
    return y.mT.reshape(batch, chunks * chunk, d)[:, :length]


def _order(present: Tensor, valid: Tensor) -> Tensor | None:
    """Index `[B, L]` that packs the tokens `present` `[B, N]` to the left; None if they are."""
    length = valid.shape[1]
    if torch.equal(present[:, :length], valid):
        return None
    return present.long().argsort(dim=1, descending=True, stable=True)[:, :length]


def _take(x: Tensor, index: Tensor) -> Tensor:
    """From x `[B, N, ...]` the `[B, L]` places of dimension 1."""
    return x[torch.arange(len(x), device=x.device)[:, None], index]


def _largest(counts: Tensor) -> int:
    return int(counts.max()) if counts.numel() else 0
