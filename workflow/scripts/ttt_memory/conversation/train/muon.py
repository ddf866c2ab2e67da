"""Muon in float32: each update is an orthogonalised momentum matrix (Jordan et al., 2024).

`torch.optim.Muon` orthogonalises in bfloat16. A CPU without bfloat16 units multiplies bfloat16 some
thirty times slower than float32. This module also handles matrices of one shape together.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from .sharding import shard_like, whole

# Coefficients of a quintic iteration that brings singular values from (0, 1] to about 1.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """`matrices` [N, rows, columns] with each singular value replaced by about 1."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """W <- (1 - lr decay) W - lr sqrt(max(1, rows / columns)) orthogonalise(momentum)."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> None:
        """Update every matrix that has a gradient. `closure` is not used."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes.setdefault(parameter.shape, []).append(parameter)
            for parameters in shapes.values():
                self._update(parameters, group)

    def _update(self, parameters: list[nn.Parameter], group: dict) -> None:
        looked_ahead = []
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(parameter, dtype=torch.float32)
            gradient = parameter.grad.float()
            state["momentum"].lerp_(gradient, 1 - group["momentum"])
            looked_ahead.append(whole(gradient.lerp(state["momentum"], group["momentum"])))
        rows, columns = parameters[0].shape
        rate = group["lr"] * max(1.0, rows / columns) ** 0.5
        for parameter, update in zip(
            parameters, orthogonalise(torch.stack(looked_ahead)), strict=True
        ):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(shard_like(update.to(parameter.dtype), parameter), alpha=-rate)
