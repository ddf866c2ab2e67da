"""Sums of products over all windows of a dataset, from which linear forecasters are solved.

Neighbouring windows share all samples but one. So a product of two samples is made once and added
to the sums of every window that has both: the work grows with the width of the window, not with
its square.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .series.dataset import Split


@dataclass(frozen=True)
class WindowProducts:
    """Sums over the scored targets; y is a target, x the window less `shift` that forecasts it."""

    count: Tensor  # []
    x: Tensor  # [D], D = channels * window, with the oldest sample of a channel first
    y: Tensor  # []
    xx: Tensor  # [D, D]
    xy: Tensor  # [D]
    yy: Tensor  # []

    def squared_error(self, weight: Tensor, bias: Tensor) -> Tensor:
        """Mean squared error of the forecast `weight @ x + bias`."""
        fitted = weight @ self.xx @ weight + 2 * bias * (weight @ self.x) + self.count * bias**2
        return (fitted - 2 * (weight @ self.xy + bias * self.y) + self.yy) / self.count


def window_products(split: Split, window: int, shift: Tensor, horizon: int) -> WindowProducts:
    """The products of a split in double precision; `shift` [channels] is taken off the inputs.

    A target stands `horizon` samples after the last one of its window. `naive_window_products` is
    the readable form.
    """
    inputs, y, scored = _parts(split, window, shift, horizon)
    whole = inputs.shape[1] - window  # windows of a series that have a target
    # Of the sample at each place of a window, over all windows.
    moments = [
        (torch.einsum("ntc,nt->c", part, y), part.sum((0, 1)))
        for part in (inputs[:, place : place + whole] for place in range(window))
    ]
    xy, x = (torch.stack(part, 1).flatten() for part in zip(*moments, strict=True))
    found = WindowProducts(
        y.new_tensor(y.numel()), x, y.sum(), _gram(inputs, window), xy, y.square().sum()
    )
    missing = ~scored
    if not missing.any():
        return found
    left_out = _sums(_windows(inputs, window)[missing], y[missing])
    return WindowProducts(
        *(all_ - part for all_, part in zip(vars(found).values(), left_out, strict=True))
    )


def naive_window_products(split: Split, window: int, shift: Tensor, horizon: int) -> WindowProducts:
    """What `window_products` returns, with every window written out."""
    inputs, y, scored = _parts(split, window, shift, horizon)
    return WindowProducts(*_sums(_windows(inputs, window)[scored], y[scored]))


def _parts(split: Split, window: int, shift: Tensor, horizon: int) -> tuple[Tensor, ...]:
    """Inputs up to the sample after the last window that has a target; targets; which count."""
    first = window - 1 + horizon
    inputs = (split.inputs.double() - shift)[:, : split.inputs.shape[1] + 1 - horizon]
    return inputs, split.target[:, first:].double(), split.scored[:, first:]


def _gram(inputs: Tensor, window: int) -> Tensor:
    """Sums of x x^T over the windows of inputs [N, T, channels] but the last one."""
    _, length, channels = inputs.shape
    gram = inputs.new_zeros(channels, window, channels, window)
    samples = inputs.transpose(0, 1)  # [T, N, channels]
    for lag in range(window):
        # Products of each sample with that `lag` samples later, and their sums up to each sample.
        products = samples[: length - lag].transpose(1, 2) @ samples[lag:]
        sums = torch.cat([torch.zeros_like(products[:1]), products.cumsum(0)])
        first = torch.arange(window - lag)  # the place of the earlier sample in its window
        block = sums[length - window + first] - sums[first]  # [places, channels, channels]
        gram[:, first, :, first + lag] = block
        gram[:, first + lag, :, first] = block.transpose(1, 2)
    return gram.view(channels * window, channels * window)


def _windows(inputs: Tensor, window: int) -> Tensor:
    """The windows [N, T - window, D] of inputs [N, T, channels] but the last one."""
    return inputs[:, :-1].unfold(1, window, 1).flatten(2)


def _sums(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """The fields of `WindowProducts` for windows x [n, D] and targets y [n]."""
    return y.new_tensor(len(y)), x.sum(0), y.sum(), x.T @ x, x.T @ y, y.square().sum()
