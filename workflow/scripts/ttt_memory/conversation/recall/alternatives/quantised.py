"""Q: the KV cache of a text, quantised.

The cache is first cut to as many entries as the dialogue has tokens, as K is. Then each number is
stored in 8, 4 or 2 bits between the lowest and the highest value of its group: keys by channel, in
groups of 32 tokens; values by token, in groups of 32 channels. That is the layout of KIVI (arXiv
2402.02750). New tokens of an answer keep full precision.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..episodes import Episode
from ..kept import Costs, Engine, Kept
from .kv_cache import Entries, entries_of, entry_count, stacked

GROUP = 32
TOKENS, CHANNELS = 2, 3  # dimensions of entries [layers, heads, T, width]


@dataclass(frozen=True)
class Quantised:
    """A tensor in few bits.

    Attributes:
        codes: uint8, one after the other, several in a byte.
        low, step: float16, of each group: a number is low + step * code.
        shape, dim, bits: of the tensor, along which dimension its groups lie, bits of a number.
    """

    codes: Tensor
    low: Tensor
    step: Tensor
    shape: torch.Size
    dim: int
    bits: int

    @classmethod
    def of(cls, x: Tensor, bits: int, dim: int) -> "Quantised":
        """`x` in `bits` bits, in groups of `GROUP` along `dim`; the last group may be smaller."""
        groups = _grouped(x.float(), dim)
        low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
        low = low.half()
        step = ((high - low.float()) / (2**bits - 1)).half()
        scaled = (groups - low.float()) / step.float().clamp(min=1e-12)
        codes = scaled.round().clamp(0, 2**bits - 1).to(torch.uint8)
        codes = codes.flatten(-2)[..., : x.shape[dim]].flatten()  # without the padding of a group
        return cls(_packed(codes, bits), low, step, x.shape, dim, bits)

    @property
    def nbytes(self) -> int:
        """Bytes of codes, lowest values and steps."""
        return self.codes.nbytes + self.low.nbytes + self.step.nbytes

    def restored(self, dtype: torch.dtype) -> Tensor:
        """The tensor that is read."""
        moved = list(self.shape)
        moved.append(moved.pop(self.dim))
        codes = (
            _unpacked(self.codes, self.bits)[: self.shape.numel()].view(moved).movedim(-1, self.dim)
        )
        groups = _grouped(codes.float(), self.dim) * self.step.float() + self.low.float()
        size = self.shape[self.dim]
        return groups.flatten(-2)[..., :size].movedim(-1, self.dim).to(dtype)


def by_bits(engine: Engine, batch: list[Episode]) -> Iterator[Kept]:
    """Q, at every number of bits."""
    started, opening = time.perf_counter(), len(engine.prompter.opening)
    texts = [entries_of(engine, episode.ids) for episode in batch]
    pairs = zip(texts, batch, strict=True)
    texts = [text.keep(text.received, opening, entry_count(1, one)) for text, one in pairs]
    common = time.perf_counter() - started
    for bits in engine.config.bits:
        started = time.perf_counter()
        kept, costs = [], []
        for entries, episode in zip(texts, batch, strict=True):
            entries, size = _quantised(entries, opening, bits)
            flops = engine.prefill_flops(episode.tokens)
            costs.append(Costs(size, flops, entries.keys.shape[2] - opening))
            kept.append(entries)
        answer = partial(engine.answer, contexts=stacked(kept))
        yield Kept(answer, costs, common + time.perf_counter() - started, float(bits))


def _quantised(entries: Entries, opening: int, bits: int) -> tuple[Entries, int]:
    """The entries as they are read, and the bytes that all but the opening take."""
    made, size = [], 0
    for t, dim in ((entries.keys, TOKENS), (entries.values, CHANNELS)):
        part = Quantised.of(t[:, :, opening:], bits, dim)
        made.append(torch.cat([t[:, :, :opening], part.restored(t.dtype)], 2))
        size += part.nbytes
    return Entries(*made, entries.received, entries.length), size


def _grouped(x: Tensor, dim: int) -> Tensor:
    """[..., groups, GROUP]: `dim` goes last; the last group is filled with its last number."""
    x = x.movedim(dim, -1)
    missing = -x.shape[-1] % min(GROUP, x.shape[-1])
    x = torch.cat([x, x[..., -1:].expand(*x.shape[:-1], missing)], -1)
    return x.unflatten(-1, (-1, min(GROUP, x.shape[-1])))


def _packed(codes: Tensor, bits: int) -> Tensor:
    """Several codes in each byte, the first in its lowest bits."""
    per_byte = 8 // bits
    codes = torch.nn.functional.pad(codes, (0, -len(codes) % per_byte)).view(-1, per_byte)
    shifts = torch.arange(per_byte, device=codes.device) * bits
    return (codes.int() << shifts).sum(1).to(torch.uint8)


def _unpacked(packed: Tensor, bits: int) -> Tensor:
    shifts = torch.arange(8 // bits, device=packed.device) * bits
    return ((packed.int()[:, None] >> shifts) & (2**bits - 1)).flatten()
