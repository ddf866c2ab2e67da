"""The write of one layer for a whole batch at once: masked products instead of a loop.

With L tokens packed row by row, c(t) the chunk of token t, K keys, V values, G write weights
(gate and learning rate) and dW the memory before the call:

    U      = G (V - [delta] (A U + decay^c(t) K dW^T))     A = M * (K K^T)
    O      = decay^c(t) Z dW^T + (M * (Z K^T)) U           M[t, s] = decay^(c(t)-1-c(s)) if c(s) < c(t)
    dW_out = decay^n dW + sum_s decay^(n-1-c(s)) u_s k_s^T

The delta rule's U solves the unit lower triangular system (I + G A) U = G (V - decay^c K dW^T).
`naive.py` is the same thing as a loop with a dense weight; the tests hold them together.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from .state import LayerState

KEY_EPS = 1e-6  # a key shorter than this is divided by this


@dataclass(frozen=True)
class Plan:
    """Which token falls in which chunk: built once per piece of text, shared by all layers.

    The pending tokens of a row and its new tokens to write, packed to the left, start a chunk
    at position 0; so position p lies in chunk p // chunk in every row.
    """

    chunk: int
    decay: float
    order: Tensor | None  # [B, L] index into [pending | text]; None: the text's first L tokens
    valid: Tensor  # [B, L] bool: a token stands here
    written: Tensor  # [B, L] bool: and its chunk is written now
    chunks: Tensor  # [B]: chunks written now
    text_chunk: Tensor  # [B, T]: the chunk in which each token of the text reads
    left: Tensor  # [B]: tokens pending afterwards
    wait: int  # the largest of them

    @classmethod
    def build(
        cls, pending: Tensor, width: int, mask: Tensor, chunk: int, decay: float, end: str
    ) -> Self:
        """Plan for `mask` `[B, T]` bool (tokens to write) after `pending` `[B]` tokens.

        `width` is how many columns hold the pending tokens; `end` says what becomes of a last,
        partial chunk: "wait" (the text goes on), "write" or "drop".
        """
        ahead = torch.arange(width, device=mask.device) < pending[:, None]
        present = torch.cat([ahead, mask], dim=1)
        total = present.sum(1)
        length = int(total.max()) if len(total) else 0
        position = torch.arange(length, device=mask.device)
        valid = position < total[:, None]
        packed = torch.equal(present[:, :length], valid)
        full = total // chunk * chunk
        done = total if end == "write" else full
        left = total - full if end == "wait" else torch.zeros_like(total)
        return cls(
            chunk=chunk,
            decay=decay,
            order=None if packed else present.long().argsort(1, descending=True, stable=True)[:, :length],
            valid=valid,
            written=position < done[:, None],
            chunks=(done + chunk - 1) // chunk,
            text_chunk=(pending[:, None] + mask.cumsum(1) - mask.long()) // chunk,
            left=left,
            wait=int(left.max()) if len(left) else 0,
        )

    @cached_property
    def key_chunk(self) -> Tensor:
        """`[L]`: the chunk of each packed position."""
        return torch.arange(self.valid.shape[1], device=self.valid.device) // self.chunk

    @cached_property
    def read_mask(self) -> Tensor:
        """M between text and packed positions, `[B, T, L]`."""
        return self._before(self.text_chunk[..., None], self.key_chunk)

    @cached_property
    def write_mask(self) -> Tensor:
        """M between packed positions, `[L, L]`."""
        return self._before(self.key_chunk[:, None], self.key_chunk)

    def _before(self, reader: Tensor, writer: Tensor) -> Tensor:
        gap = reader - writer
        if self.decay == 1:
            return gap > 0
        return self.fade((gap - 1).clamp_min(0)) * (gap > 0)

    def fade(self, chunks: Tensor) -> Tensor:
        """decay^chunks, float64 (or exactly one, bool, without decay)."""
        if self.decay == 1:
            return torch.ones_like(chunks, dtype=torch.bool)
        return torch.tensor(self.decay, dtype=torch.float64, device=chunks.device) ** chunks

    def pack(self, pending: Tensor, text: Tensor) -> Tensor:
        """`[B, P, ...]` and `[B, T, ...]` -> `[B, L, ...]`; positions beyond a row's end hold anything."""
        both = torch.cat([pending, text], dim=1) if pending.shape[1] else text
        if self.order is None:
            return both[:, : self.valid.shape[1]]
        rows = torch.arange(len(both), device=both.device)[:, None]
        return both[rows, self.order]

    def rest(self, packed: Tensor) -> Tensor:
        """The tokens still pending, `[B, P, ...]`, zero beyond each row's count."""
        offset = torch.arange(self.wait, device=packed.device)
        index = (self.chunks[:, None] * self.chunk + offset).clamp(max=max(packed.shape[1] - 1, 0))
        kept = packed[torch.arange(len(packed), device=packed.device)[:, None], index]
        inside = offset < self.left[:, None]
        return kept * inside.view(*inside.shape, *[1] * (kept.ndim - 2))


@dataclass(frozen=True)
class Rule:
    """The learned parts and settings of one layer's write."""

    lr: Tensor | float
    conv: Tensor | None  # [d, width]
    proj: Tensor | None  # [d, d]: values are multiplied by it from the right
    normalise: bool
    delta: bool

    def keys(self, z: Tensor) -> Tensor:
        """What addresses the write, `[..., ff]`."""
        return F.normalize(z, dim=-1, eps=KEY_EPS) if self.normalise else z

    def values(self, target: Tensor, plan: Plan) -> Tensor:
        """conv(target) P, `[B, L, d]`; the convolution sees zeros beyond its chunk and its row."""
        target = target * plan.valid[..., None]
        if self.conv is not None:
            target = _convolve(target, self.conv, plan.chunk)
        return target if self.proj is None else target @ self.proj


def _convolve(x: Tensor, taps: Tensor, chunk: int) -> Tensor:
    """Depthwise convolution inside chunks: y_t = sum_o taps[:, o] x_{t + o - width // 2}."""
    length = x.shape[1]
    chunks = torch.arange(length, device=x.device) // chunk
    out = torch.zeros_like(x)
    for tap, weight in enumerate(taps.unbind(1)):
        offset = tap - taps.shape[1] // 2
        if abs(offset) >= min(chunk, length):
            continue
        inside = chunks == F.pad(chunks, (length, length), value=-1)[length + offset :][:length]
        shifted = x.roll(-offset, 1) if offset else x
        out = out + shifted * (inside[:, None] * weight)
    return out


def advance(
    memory: LayerState, plan: Plan, rule: Rule, z: Tensor, target: Tensor, weight: Tensor, read: bool
) -> tuple[Tensor | None, LayerState]:
    """Write one piece of text into `memory`.

    Args:
        z: `[B, T, ff]`, input of `down_proj`; the read's queries and, normalised, the keys.
        target: `[B, T, d]`, what values are made of.
        weight: `[B, T]`, how much of each token is written.
        read: also return what each token reads, `[B, T, d]`: the memory from before its chunk.

    All in the memory's dtype. Returns (what was read or None, the memory afterwards).
    """
    packed_z = plan.pack(memory.pending_z, z)
    packed_target = plan.pack(memory.pending_target, target)
    packed_weight = plan.pack(memory.pending_weight, weight)
    keys = rule.keys(packed_z)
    values = rule.values(packed_target, plan)
    written = _written(memory, plan, rule, keys, values, packed_weight * plan.valid * rule.lr)
    out = _read(memory, plan, z, keys, written) if read else None
    grown = _append(memory, plan, keys, written)
    return out, replace(
        grown,
        pending_z=plan.rest(packed_z),
        pending_target=plan.rest(packed_target),
        pending_weight=plan.rest(packed_weight),
    )


def _written(
    memory: LayerState, plan: Plan, rule: Rule, keys: Tensor, values: Tensor, weight: Tensor
) -> Tensor:
    """U `[B, L, d]`: gated values, for the delta rule less what the memory recalls by then."""
    weight = weight[..., None]
    if not rule.delta:
        return weight * values
    known = memory.recall(keys) * plan.fade(plan.key_chunk)[:, None].to(keys)
    gated = weight * (values - known)
    if keys.shape[1] <= plan.chunk:
        return gated
    system = weight * (keys @ keys.mT) * plan.write_mask.to(keys)
    # Only the strict lower triangle is used: the diagonal counts as one.
    return torch.linalg.solve_triangular(system, gated, upper=False, unitriangular=True)


def _read(memory: LayerState, plan: Plan, z: Tensor, keys: Tensor, written: Tensor) -> Tensor:
    """O `[B, T, d]`: each token reads the memory from before its chunk."""
    old = memory.recall(z) * plan.fade(plan.text_chunk)[..., None].to(z)
    return torch.baddbmm(old, (z @ keys.mT) * plan.read_mask.to(z), written)


def _append(memory: LayerState, plan: Plan, keys: Tensor, written: Tensor) -> LayerState:
    """The memory with the factors of the chunks written now."""
    count = int(plan.written.sum(1).max()) if len(keys) else 0
    age = (plan.chunks[:, None] - 1 - plan.key_chunk).clamp_min(0)
    new = written * (plan.written * plan.fade(age))[..., None].to(written)
    kept = plan.fade(plan.chunks)[:, None, None].to(written)
    return replace(
        memory,
        keys=torch.cat([memory.keys, keys[:, :count]], 1),
        values=torch.cat([memory.values * kept, new[:, :count]], 1),
        dense=memory.dense * kept if len(memory.dense) else memory.dense,
    )

