"""The oracle: the equations of `FastWeightsConfig` as a loop with a dense weight. Tests only."""

import torch
from torch import Tensor

from .least_squares import SOLVABLE


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
        update: "hebbian"; "delta", where values are less what dW recalls by then and strengths
            saturate at 1; or "mesa", recursive least squares, where moreover a key counts as far
            as it is new.
        decay: factor on dW at each chunk.
        flush: a partial last chunk is written.

    Returns:
        What each token reads, `[T, d]`, and dW afterwards, `[d, ff]`.
    """
    read = []
    inverse = torch.eye(dense.shape[1], dtype=dense.dtype)  # of 1 + sum of strength k k^T
    for start in range(0, len(z), chunk):
        piece = slice(start, start + chunk)
        read.append(z[piece] @ dense.T)
        if len(z[piece]) < chunk and not flush:
            break
        change = torch.zeros_like(dense)
        for t, key in enumerate(z[piece]):
            key = key / key.norm() if normalise else key
            value = _value(target[piece], t, conv, proj)
            error = value if update == "hebbian" else value - (dense + change) @ key
            strength = lr * weight[piece][t]
            strength = strength if update == "hebbian" else 1 - torch.exp(-strength)
            if update == "mesa":
                strength = strength / (1 - SOLVABLE * strength)
                direction = inverse @ key
                key = direction / (1 + strength * key @ direction)
                inverse = inverse - strength * torch.outer(direction, key)
            change = change + strength * torch.outer(error, key)
        dense = decay * dense + change
    return torch.cat(read), dense


def gate(u: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """g_t = clamp(weight . u_t / ||u_t|| + bias, 0, 1) for u `[T, d]`; `[T]`."""
    return torch.stack([_boxed(weight @ v / v.norm() + bias) for v in u])


def _boxed(score: Tensor) -> Tensor:
    """Cut to [0, 1]; the gradient passes unless a step against it would lead further out."""
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
