"""Forecasts of a part of a dataset, and their mean squared error."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .forecaster import Task
from .series.dataset import Split


@torch.no_grad()
def predict(model: nn.Module, split: Split, batch: int) -> Tensor:
    """Forecasts [N, T, H] of every series of `split`, `batch` at once, in evaluation mode."""
    model.eval()
    return torch.cat([model(inputs) for inputs in split.inputs.split(batch)])


@dataclass(frozen=True)
class Aligned:
    """The forecasts at one horizon beside their targets, from position `first` on: all [..., n]."""

    horizon: int
    first: int
    forecast: Tensor
    target: Tensor
    scored: Tensor


def aligned(forecast: Tensor, split: Split, task: Task) -> Iterator[Aligned]:
    """Of each horizon, the forecasts that are made from a whole window of samples.

    Entry [t, h] of `forecast` [..., B, T, H] is for the target at t + task.horizons[h].
    """
    begin, length = task.context_window - 1, split.target.shape[-1]
    for place, horizon in enumerate(task.horizons):
        first = begin + horizon
        made = forecast[..., begin : length - horizon, place]
        yield Aligned(horizon, first, made, split.target[..., first:], split.scored[..., first:])


def mse(forecast: Tensor, split: Split, task: Task) -> Tensor:
    """Mean over horizons of the mean squared error over the scored targets.

    `forecast` is [..., B, T, H], as in `aligned`; the result is [...].
    """
    errors = []
    for part in aligned(forecast, split, task):
        square = (part.forecast - part.target).square() * part.scored
        errors.append(square.sum((-2, -1)) / part.scored.sum((-2, -1)).clamp_min(1))
    return torch.stack(errors).mean(0)
