"""Forecasts of a part of a dataset, and their mean squared error."""

import torch
from torch import Tensor, nn

from .series.dataset import Split


@torch.no_grad()
def predict(model: nn.Module, split: Split, batch: int) -> Tensor:
    """Forecasts [N, T] of every series of `split`, `batch` at once, in evaluation mode."""
    model.eval()
    return torch.cat([model(inputs) for inputs in split.inputs.split(batch)])


def mse(forecast: Tensor, split: Split, context_window: int) -> Tensor:
    """Mean squared error over the scored positions from `context_window` on.

    Entry t of `forecast` [..., B, T] is for the target at t + 1; the result is [...].
    """
    counted = split.scored[..., context_window:]
    error = forecast[..., context_window - 1 : -1] - split.target[..., context_window:]
    return (error.square() * counted).sum((-2, -1)) / counted.sum((-2, -1)).clamp_min(1)
