"""The oracle: the equations of `FastWeightsConfig` as a loop with a dense weight. Tests only."""

import torch
from torch import Tensor


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
    delta: bool,
    decay: float,
    flush: bool,
) -> tuple[Tensor, Tensor]:
    """Write one sequence into one layer.

    Args:
        z: `[T, ff]`; target: `[T, d]`; weight: `[T]`; dense: `[d, ff]`, dW before the text.
        conv: `[d, width]`, taps of the depthwise convolution; proj: `[d, d]`.

    Returns:
        What each token reads, `[T, d]`, and dW afterwards, `[d, ff]`.
    """
    read = []
    for start in range(0, len(z), chunk):
        piece = slice(start, start + chunk)
        read.append(z[piece] @ dense.T)
        if len(z[piece]) < chunk and not flush:
            break
        update = torch.zeros_like(dense)
        for t in range(len(z[piece])):
            key = z[piece][t]
            if normalise:
                key = key / key.norm()
            value = _value(target[piece], t, conv, proj)
            if delta:
                value = value - dense @ key
            update = update + lr * weight[piece][t] * torch.outer(value, key)
        dense = decay * dense + update
    return torch.cat(read), dense


def _value(target: Tensor, t: int, conv: Tensor | None, proj: Tensor | None) -> Tensor:
    """Value of token t of a chunk: taps over its neighbours inside the chunk, then P."""
    value = target[t]
    if conv is not None:
        half = conv.shape[1] // 2
        value = torch.zeros_like(target[t])
        for s in range(max(0, t - half), min(len(target), t + half + 1)):
            value = value + conv[:, s - t + half] * target[s]
    return value if proj is None else value @ proj
