"""The oracle: the equations of `FastWeightsConfig` as a loop over tokens. Tests only."""

import torch
from torch import Tensor

from . import rules


def write(
    z: Tensor,
    target: Tensor,
    weight: Tensor,
    dense: Tensor,
    *,
    lr: Tensor,
    conv: Tensor | None,
    proj: Tensor | None,
    chunk: int,
    normalise: bool,
    update: str,
    decay: float,
    flush: bool,
    memo: dict | None = None,
) -> tuple[Tensor, Tensor]:
    """Write one sequence into one layer.

    Args:
        z: `[T, ff]`, input of `down_proj`.
        target: `[T, d]`, what values are made of.
        weight: `[T]`, how much of each token is written.
        dense: `[d, ff]`, dW before the text.
        lr: inner learning rate.
        conv: `[d, width]`, taps of the depthwise convolution.
        proj: `[d, d]`, multiplies values from the right.
        chunk: tokens written at once.
        normalise: keys have length one.
        update: the update rule, whose `naive_step` says what one token adds, for rate times gate.
        decay: factor on dW at each chunk.
        flush: a partial last chunk is written.
        memo: what the rule keeps beside dW from token to token, and from text to text.

    Returns:
        What each token reads, `[T, d]`, and dW afterwards, `[d, ff]`.
    """
    step, read = rules.naive_step(update), []
    memo = {} if memo is None else memo
    for start in range(0, len(z), chunk):
        piece = slice(start, start + chunk)
        read.append(z[piece] @ dense.T)
        if len(z[piece]) < chunk and not flush:
            break
        change = torch.zeros_like(dense)
        for t, key in enumerate(z[piece]):
            key = key / key.norm() if normalise else key
            value = _value(target[piece], t, conv, proj)
            change = change + step(dense + change, key, value, lr * weight[piece][t], memo)
        dense = decay * dense + change
    return torch.cat(read), dense


def age(dense: Tensor, recency: Tensor, update: str, memo: dict) -> Tensor:
    """DW `[d, ff]` as a text begins: all that is held weighs `recency` times as much as before."""
    return rules.naive_age(update)(dense, recency, memo)


def gate(u: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """g_t = clamp(weight . u_t / ||u_t|| + bias, 0, 1) for u `[T, d]`; `[T]`."""
    return torch.stack([_clamped(weight @ v / v.norm() + bias) for v in u])


def _clamped(score: Tensor) -> Tensor:
    """Clamped to [0, 1]; a gradient is stopped where a step against it would lead further out."""
    value = score.detach()
    if score.requires_grad:
        score.register_hook(lambda g: g * ~((value >= 1) & (g < 0) | (value <= 0) & (g > 0)))
    return value.clamp(0, 1) + (score - value)


def _value(target: Tensor, t: int, conv: Tensor | None, proj: Tensor | None) -> Tensor:
    """Value of token t of a chunk: taps over its neighbours inside the chunk, then P."""
    value = target[t]
    if conv is not None:
        half = conv.shape[1] // 2
        value = torch.zeros_like(target[t])
        for s in range(max(0, t - half), min(len(target), t + half + 1)):
            value = value + conv[:, s - t + half] * target[s]
    return value if proj is None else value @ proj
