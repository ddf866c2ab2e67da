"""The write of one layer for a whole batch at once: masked products instead of a loop over tokens.

With the tokens of a row packed, c(t) the chunk of token t, K keys, V values, G write weights
(gate and learning rate) and dW the memory before the call:

    U  = G (V - [delta] (L * (K K^T)) U - [delta] decay^c K dW^T)
    O  = decay^c Z dW^T + (M * (Z K^T)) U
    dW <- decay^n dW + sum_s decay^(n-1-c(s)) u_s k_s^T        n chunks are written

where M[t, s] = decay^(c(t)-1-c(s)) if c(s) < c(t), else 0: a token reads the chunks before its
own. L is the same and 1 at earlier tokens of t's own chunk: the delta rule goes token by token
(DeltaNet, arXiv 2102.11174), and U solves a unit lower triangular system (arXiv 2406.06484).
By least squares (MesaNet, arXiv 2506.05233) U depends on all tokens: `LayerState.solve`.
`naive.py` computes the same as a loop with a dense weight; the tests hold them together.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from . import least_squares
from .layer_state import LayerState, joined

KEY_EPS = 1e-6  # a key shorter than this is divided by this
# Tokens whose part of the delta rule's system is solved at once: only products between a key and
# those before it are needed, and very small products leave a device idle.
BLOCK = 256


@dataclass(frozen=True, eq=False)
class Plan:
    """Which token falls in which chunk: made once per piece of text, shared by all layers.

    A row's pending tokens and its new tokens to write, packed to the left, start a chunk at
    position 0; so position p lies in chunk p // chunk in every row.
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
        """Plan for `mask` `[B, T]` bool (tokens to write) after `pending` `[B]` tokens.

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
        """L between packed positions, `[L, L]`."""
        return self.fade(self.key_chunk[:, None] - self.key_chunk - 1).tril(-1)

    @cached_property
    def text_mask(self) -> Tensor:
        """M between the text and packed positions, `[B, T, L]`."""
        return self._sees(self.text_chunk[..., None])

    def _sees(self, reader: Tensor) -> Tensor:
        gap = reader - self.key_chunk
        return (gap > 0) * self.fade(gap - 1)

    def fade(self, chunks: Tensor) -> Tensor:
        """decay^chunks, float64; without decay simply True."""
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
class Rule:
    """The learned parts and settings of one layer's write, in the memory's dtype."""

    lr: Tensor | float
    conv: Tensor | None  # [d, width]
    proj: Tensor | None  # [d, d]: values are multiplied by it from the right
    normalise: bool
    update: str  # "hebbian", "delta" or "mesa"

    def keys(self, z: Tensor) -> Tensor:
        """What the written values are addressed by, `[B, L, ff]`."""
        return F.normalize(z, dim=-1, eps=KEY_EPS) if self.normalise else z

    def strength(self, weight: Tensor) -> Tensor:
        """Factor on each token's write, `[B, L]`.

        But for the Hebbian rule 1 - exp(-lr weight): what weight small writes of rate lr in a row
        come to. It never passes 1, where a key recalls exactly its value, and keeps its gradient.
        """
        strength = weight * self.lr
        return strength if self.update == "hebbian" else -torch.expm1(-strength)

    def values(self, target: Tensor, plan: Plan) -> Tensor:
        """conv(target) P, `[B, L, d]`; the convolution sees zeros beyond its chunk and its row."""
        if self.conv is not None:
            target = _convolve(target * plan.valid[..., None], self.conv, plan.chunk)
        return target if self.proj is None else target @ self.proj


def advance(
    memory: LayerState,
    plan: Plan,
    rule: Rule,
    z: Tensor,
    target: Tensor,
    weight: Tensor,
    read: bool,
) -> tuple[Tensor | None, LayerState]:
    """Write one piece of text into `memory`.

    Args:
        memory: the state before; it is not changed.
        plan: made for this text and this state.
        rule: how to write.
        z: `[B, T, ff]`, input of `down_proj`: the queries and, normalised if asked, the keys.
        target: `[B, T, d]`, what values are made of.
        weight: `[B, T]`, how much of each token is written.
        read: also return what each token reads, `[B, T, d]`: the memory from before its chunk.

    Returns:
        What was read, or None, and the memory afterwards.
    """
    packed_z = plan.pack(memory.pending_z, z)
    packed_target = plan.pack(memory.pending_target, target)
    packed_weight = plan.pack(memory.pending_weight, weight)
    keys = rule.keys(packed_z)
    values = rule.values(packed_target, plan)
    strength = rule.strength(packed_weight)
    if rule.update == "mesa":
        counts = least_squares.counts(strength * plan.written)
        weighed = [t[:, : plan.count] for t in (keys, values, counts)]
        out = _read_weighed(memory, plan, z, weighed) if read else None
        grown = memory.weigh(*weighed)
    else:
        update = _update(memory, plan, rule, keys, values, strength)
        out = _read(memory, plan, z, keys, update) if read else None
        grown = _append(memory, plan, keys, update)
    grown = replace(
        grown,
        pending_z=plan.rest(packed_z),
        pending_target=plan.rest(packed_target),
        pending_weight=plan.rest(packed_weight),
    )
    return out, grown


def _update(
    memory: LayerState, plan: Plan, rule: Rule, keys: Tensor, values: Tensor, weight: Tensor
) -> Tensor:
    """U `[B, L, d]`: weighted values, for the delta rule less what is recalled by then."""
    weight = weight[..., None]
    if rule.update == "hebbian":
        return weight * values
    recalled = memory.recall(keys) * plan.fade(plan.key_chunk)[:, None].to(keys)
    first = weight * (values - recalled)
    update = first[:, :0]
    for start in range(0, keys.shape[1], BLOCK):
        own, seen = slice(start, start + BLOCK), slice(start + BLOCK)
        system = weight[:, own] * (keys[:, own] @ keys[:, seen].mT)
        system = system * plan.key_mask[own, seen].to(keys)  # plus the unit diagonal
        right = torch.baddbmm(first[:, own], system[..., :start], update, alpha=-1)
        solved = torch.linalg.solve_triangular(
            system[..., start:], right, upper=False, unitriangular=True
        )
        update = joined(update, solved)
    return update


def _read(memory: LayerState, plan: Plan, z: Tensor, keys: Tensor, update: Tensor) -> Tensor:
    """O `[B, T, d]`: what each token reads."""
    old = memory.recall(z) * plan.fade(plan.text_chunk)[..., None].to(z)
    return torch.baddbmm(old, (z @ keys.mT) * plan.text_mask.to(z), update)


def _read_weighed(memory: LayerState, plan: Plan, z: Tensor, tokens: list[Tensor]) -> Tensor:
    """O `[B, T, d]` by least squares: all is solved again after each chunk."""
    read = memory.recall(z)
    for chunk, start in enumerate(range(0, plan.count, plan.chunk)):
        memory = memory.weigh(*(t[:, start : start + plan.chunk] for t in tokens))
        memory = memory.fold() if len(memory.dense) else memory  # or each chunk is summed again
        read = torch.where(plan.text_chunk[..., None] > chunk, memory.recall(z), read)
    return read


def _append(memory: LayerState, plan: Plan, keys: Tensor, update: Tensor) -> LayerState:
    """The memory with the chunks that are written now."""
    kept = plan.fade(plan.chunks)[:, None, None].to(keys)
    later = plan.chunks[:, None] - 1 - plan.key_chunk
    update = update * (plan.written * plan.fade(later))[..., None].to(keys)
    memory = memory if plan.decay == 1 else memory.scale(kept)
    return replace(
        memory,
        keys=joined(memory.keys, keys[:, : plan.count]),
        values=joined(memory.values, update[:, : plan.count]),
    )


def _convolve(x: Tensor, taps: Tensor, chunk: int) -> Tensor:
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
