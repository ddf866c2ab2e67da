"""The trained values of several seeds as the rows of one matrix, and Adam on all rows at once."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..forecaster import Task
from ..loss import mse
from ..series.dataset import Split
from .forward import Forward
from .run import Run


class Stack:
    """Runs at the same step that take their next steps together.

    Row s of each tensor belongs to the run s. No row influences another: what a run gets is what
    it would get alone, up to rounding. The runs themselves are unchanged until `store`.

    Args:
        runs: trainings of one forecaster that have made the same number of steps.
        forward: how their forecaster is run.
    """

    def __init__(self, runs: Sequence[Run], forward: Forward):
        self.runs, self.forward, self.steps, self.rate = list(runs), forward, 0, 0.0
        trained = trained_of(runs[0].model)
        self.names, self.shapes = list(trained), [part.shape for part in trained.values()]
        self.fixed = differing([fixed_of(run.model) for run in runs])
        moments = {
            name: torch.stack([run.moments[name] for run in runs]) for name in runs[0].moments
        }
        self._put(torch.stack([flat(run.model) for run in runs]), moments)

    def tensors(self) -> dict[str, Tensor]:
        """What the runs differ in, {name: [S, ...]}; trained tensors are views of the matrix."""
        count = len(self.runs)
        parts = self.values.split([shape.numel() for shape in self.shapes], 1)
        views = zip(self.names, self.shapes, parts, strict=True)
        return {name: part.view(count, *shape) for name, shape, part in views} | self.fixed

    def step(self, batch: Split, task: Task, rate: float, clip: float) -> Tensor:
        """One step of Adam on series [S, B, T]: each run's loss and gradient norm, [S, 2].

        The norms are those before the gradient of each run is scaled to at most `clip`; with 0 it
        is not scaled.
        """
        self.forward.model.train()
        losses = mse(self.forward(self.tensors(), batch.inputs), batch, task)
        self.values.grad = None
        losses.sum().backward()
        norms = torch.linalg.vector_norm(self.values.grad, dim=1)
        if clip:
            self.values.grad *= (clip / (norms + 1e-6)).clamp_max(1).unsqueeze(1)
        self.optimiser.param_groups[0]["lr"] = self.rate = rate
        found = torch.stack([losses.detach(), norms], 1)
        failed = ~torch.isfinite(found).all(1)
        # A run that fails keeps the values with which it failed.
        kept = self.values.detach()[failed]
        self.optimiser.step()
        if len(kept):
            self.values.data[failed] = kept
        self.steps += 1
        return found

    @torch.no_grad()
    def predict(self, inputs: Tensor, batch: int) -> Tensor:
        """Forecasts [S, N, T, H] of every run for the same series [N, T, channels]."""
        self.forward.model.eval()
        tensors, count = self.tensors(), len(self.runs)
        parts = [
            self.forward(tensors, part.expand(count, *part.shape)) for part in inputs.split(batch)
        ]
        return torch.cat(parts, 1)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the runs at these places alone."""
        self.runs = [self.runs[place] for place in places]
        self.fixed = {name: tensor[places] for name, tensor in self.fixed.items()}
        state = self.optimiser.state[self.values]
        moments = {
            name: tensor[places] if tensor.dim() else tensor for name, tensor in state.items()
        }
        self._put(self.values.detach()[places], moments)

    @torch.no_grad()
    def store(self) -> None:
        """Write the rows back into the runs."""
        state = self.optimiser.state[self.values]
        for row, run in enumerate(self.runs):
            self.store_run(row)
            run.moments = {
                name: (tensor[row] if tensor.dim() else tensor).clone()
                for name, tensor in state.items()
            }

    @torch.no_grad()
    def store_run(self, row: int) -> None:
        """Write the trained values of one row back into its forecaster."""
        parts = self.values[row].split([shape.numel() for shape in self.shapes])
        for target, part in zip(trained_of(self.runs[row].model).values(), parts, strict=True):
            target.copy_(part.view_as(target))

    def _put(self, values: Tensor, moments: dict[str, Tensor]) -> None:
        self.values = nn.Parameter(values)
        self.optimiser = torch.optim.Adam([self.values])
        if moments:
            # The number of steps is one for all rows, and torch keeps it as a scalar.
            moments["step"] = moments["step"].flatten()[0]
            self.optimiser.state[self.values] = moments


def trained_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """The trained parameters of a forecaster by name."""
    return {name: part for name, part in model.named_parameters() if part.requires_grad}


def fixed_of(model: nn.Module) -> dict[str, Tensor]:
    """Buffers, and parameters that are not trained, by name."""
    frozen = {name: part for name, part in model.named_parameters() if not part.requires_grad}
    return frozen | dict(model.named_buffers())


def differing(fixed: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors that are not the same in all forecasters, stacked; one forecaster has none."""
    return {
        name: torch.stack([one[name] for one in fixed])
        for name, tensor in fixed[0].items()
        if any(not torch.equal(one[name], tensor) for one in fixed)
    }


def flat(model: nn.Module) -> Tensor:
    """All trained values of a forecaster in one vector."""
    return torch.cat([part.detach().flatten() for part in trained_of(model).values()])
