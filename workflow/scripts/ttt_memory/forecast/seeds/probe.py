"""Which way of running several seeds together is right for a forecaster, found by trying."""

import copy
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from ...errors import UserError
from ..model.mac_titan import MACTitan
from .forward import Alone, Folded, Forward, Vmapped
from .stack import differing, fixed_of, trained_of

# Relative to the largest entry: rounding differs between the ways, and a gradient adds up more.
FORECAST_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-3
Found = list[tuple[Tensor, Tensor]]  # forecasts and the gradient of each seed


def together(models: Sequence[nn.Module], window: int, channels: int) -> tuple[Forward | None, str]:
    """The fastest way that gives what each forecaster gives alone, and why another is not used.

    Forecasts and gradients for random series are compared. No forecaster is changed.

    Args:
        models: one forecaster, built with different seeds.
        window: samples that a forecast sees directly.
        channels: input channels.

    Returns:
        None in place of the way, and the reason, if they have to be trained one after another.
    """
    device = next(models[0].parameters()).device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # Three whole chunks and a part of the fourth.
        inputs = torch.randn(len(models), 2, 3 * window + 2, channels).to(device)
        try:
            expected = list(_alone(models, inputs))
        except (Changed, UserError, RuntimeError) as error:
            return None, _line(error)
        # `vmap` also refuses what a fold would let pass: a decision by the values of all rows.
        if reason := _problem(Vmapped, models, inputs, expected):
            return None, reason
        titan = isinstance(models[0], MACTitan)
        if titan and not _problem(Folded, models, inputs, expected):
            return Folded(models[0]), ""
    return Vmapped(models[0]), ""


class Changed(Exception):
    """A forecast changed something that outlives it."""


def _problem(way: Callable, models: Sequence[nn.Module], inputs: Tensor, expected: Found) -> str:
    """Why a way of running the forecasters together is not right; empty if it is."""
    parts = [trained_of(model) for model in models]
    own = {name: torch.stack([part[name] for part in parts]) for name in parts[0]}
    fixed = differing([fixed_of(model) for model in models])
    try:
        found = list(_results(way(copy.deepcopy(models[0]).train()), own, fixed, inputs))
    except (UserError, RuntimeError) as error:
        return _line(error)
    different = _difference(found, expected)
    return different and f"together {different} would differ from those of a seed alone"


def _alone(models: Sequence[nn.Module], inputs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Forecasts and gradient of each forecaster by itself."""
    for model, x in zip(models, inputs, strict=True):
        model = copy.deepcopy(model).train()
        before = {name: tensor.clone() for name, tensor in fixed_of(model).items()}
        random = torch.get_rng_state()
        own = {name: part.unsqueeze(0) for name, part in trained_of(model).items()}
        yield from _results(Alone(model), own, {}, x.unsqueeze(0))
        if not torch.equal(torch.get_rng_state(), random):
            raise Changed("it draws random numbers in training")
        if any(not torch.equal(tensor, before[name]) for name, tensor in fixed_of(model).items()):
            raise Changed("it keeps something from one call to the next")


def _results(
    forward: Forward, trained: dict[str, Tensor], fixed: dict[str, Tensor], inputs: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in trained.items()}
    forecasts = forward(leaves | fixed, inputs)
    gradients = torch.autograd.grad(
        forecasts.square().flatten(1).mean(1).sum(),
        list(leaves.values()),
        allow_unused=True,
        materialize_grads=True,
    )
    rows = torch.cat([gradient.reshape(len(forecasts), -1) for gradient in gradients], 1)
    yield from zip(forecasts.detach(), rows, strict=True)


def _difference(found: Found, expected: Found) -> str:
    """Which results differ; empty if none does."""
    for (forecast, gradient), (forecast_alone, gradient_alone) in zip(found, expected, strict=True):
        if not _close(forecast, forecast_alone, FORECAST_TOLERANCE):
            return "forecasts"
        if not _close(gradient, gradient_alone, GRADIENT_TOLERANCE):
            return "gradients"
    return ""


def _close(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    scale = expected.abs().max().clamp_min(1e-6).item()
    return torch.allclose(found, expected, rtol=0, atol=tolerance * scale)


def _line(error: Exception) -> str:
    return str(error).splitlines()[0]
