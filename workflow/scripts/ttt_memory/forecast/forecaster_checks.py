"""What every forecaster, strategy or baseline, must pass on random samples before it is trained."""

import copy

import torch
from torch import Tensor, nn

from ..errors import UserError
from .diagnosis import blamed
from .forecaster import Task


def check_forecaster(model: nn.Module, task: Task, label: str) -> None:
    """Check shape, finite values and gradients, and that no forecast depends on later samples.

    Args:
        model: maps inputs [B, T, channels] to forecasts [B, T, H]; it is not changed.
        task: what it is given, and how far ahead it forecasts.
        label: begins the error, which is one line.

    Raises:
        UserError: what was found and what was expected.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # Long enough that a forecaster which learns from its errors does so at every horizon.
        length = 3 * task.context_window + 1 + task.horizons[-1]
        x = torch.randn(2, length, task.channels).to(device)
        later = torch.randn_like(x)
    # A copy, since the memory of the published forecaster keeps what is written in each call.
    model = copy.deepcopy(model).eval()
    with torch.no_grad():
        before = model(x)
    expected = [*x.shape[:2], len(task.horizons)]
    if not isinstance(before, Tensor) or list(before.shape) != expected:
        found = list(before.shape) if isinstance(before, Tensor) else type(before).__name__
        raise UserError(
            f"{label}: forecasts are {found}, expected {expected}: series, samples, horizons"
        )
    if not torch.isfinite(before).all():
        raise UserError(f"{label}: forecasts hold NaN or infinite values, expected finite ones")
    if any(parameter.requires_grad for parameter in model.parameters()):
        _check_gradient(copy.deepcopy(model).train(), x, label)
    if getattr(model, "protocol", "strict") == "strict":
        _check_causal(model, task, x, later, label)


def _check_gradient(model: nn.Module, x: Tensor, label: str) -> None:
    """`model` is in training mode: on a GPU an LSTM has no gradient in evaluation mode."""
    try:
        model(x).square().mean().backward()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{label}: no gradient reaches its parameters ({reason})") from error
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            cause = blamed(model, lambda model: model(x).square().mean())
            raise UserError(
                f"{label}: the gradient of {name} is NaN or infinite, expected a finite one{cause}"
            )


@torch.no_grad()
def _check_causal(model: nn.Module, task: Task, x: Tensor, later: Tensor, label: str) -> None:
    """Changing the samples from t on must change no forecast, at any horizon, made before t.

    Differences of rounding are allowed. Both sides are computed without gradients, because
    PyTorch then uses other kernels, which round differently.
    """
    before, window = model(x), task.context_window
    places = {1, window // 2, window - 1, window, window + 1, 2 * window + window // 2}
    for t in sorted(places | {3 * window - 1 + horizon for horizon in task.horizons}):
        changed = torch.cat([x[:, :t], later[:, t:]], 1)
        close = torch.isclose(model(changed)[:, :t], before[:, :t], rtol=1e-5, atol=1e-6)
        wrong = ~close.all(2).all(0)
        if wrong.any():
            place = int(wrong.nonzero()[0])
            raise UserError(
                f"{label}: the forecast made at sample {place} changes with samples from {t} on;"
                " what reads the memory (compute_queries, retrieve) may not mix a token with"
                " tokens after it"
            )
