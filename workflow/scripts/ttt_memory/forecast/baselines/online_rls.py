"""A linear autoregression for each series, updated after every sample by recursive least squares.

The prior of its weights is the ridge regression over all training series. Of the options
`precisions` (of the prior) and `forgetting` (factor per sample), the pair with the smallest
validation error is used. Haykin, Adaptive Filter Theory, chapter on recursive least squares:

    g = P x / (f + x^T P x),  w <- w + g (y - w^T x),  P <- (P - g x^T P) / f
"""

import itertools

import torch
from torch import nn
from torch.nn.functional import pad

from ttt_memory.errors import UserError

OPTIONS = {
    "precisions": [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0],
    "forgetting": [1.0, 0.998],
    "penalty": 1.0,
}

NEEDS_TARGET = True


def build(task, config, options):
    if not task.observed:
        raise UserError("baseline online_rls needs a dataset with observe_target: true")
    return OnlineRLS(task, options)


class OnlineRLS(nn.Module):
    protocol = "strict"
    seedless = True

    def __init__(self, task, options):
        super().__init__()
        self.window, self.options = task.context_window, options
        size = task.context_window * task.channels + 1
        self.start = nn.Parameter(torch.zeros(size, dtype=torch.float64))
        self.precision, self.forgetting = options["precisions"][0], options["forgetting"][0]

    @torch.no_grad()
    def fit(self, train, valid):
        """Fit the start by ridge regression; choose precision and forgetting by validation."""
        views = self._views(train.inputs)[:, self.window - 1 : -1]
        scored = train.scored[:, self.window :]
        x, y = views[scored], train.target[:, self.window :][scored].double()
        ridge = torch.eye(x.shape[1], dtype=x.dtype, device=x.device) * self.options["penalty"]
        self.start.copy_(torch.linalg.solve(x.T @ x + ridge, x.T @ y))
        grid = itertools.product(self.options["precisions"], self.options["forgetting"])
        found = []
        for pair in grid:
            self.precision, self.forgetting = pair
            forecast = self(valid.inputs)
            error = (forecast[:, :-1] - valid.target[:, 1:]).square()[:, self.window - 1 :]
            found.append((error[valid.scored[:, self.window :]].mean().item(), pair))
        _, (self.precision, self.forgetting) = min(found)

    def forward(self, inputs):
        """For each sample in order: update with it, then forecast the next one."""
        target = inputs[:, :, -1].double()
        views = self._views(inputs)
        batch, length, size = views.shape
        weight = self.start.expand(batch, size)
        eye = torch.eye(size, dtype=torch.float64, device=inputs.device)
        inverse = (eye / self.precision).expand(batch, size, size)
        forecasts = []
        for t in range(length):
            if t >= self.window:
                weight, inverse = self._learn(weight, inverse, views[:, t - 1], target[:, t])
            forecasts.append((weight * views[:, t]).sum(-1))
        return torch.stack(forecasts, 1).to(inputs.dtype)

    def _learn(self, weight, inverse, x, y):
        seen = (inverse @ x.unsqueeze(-1))[..., 0]
        gain = seen / (self.forgetting + (x * seen).sum(-1, keepdim=True))
        error = y - (weight * x).sum(-1)
        inverse = (inverse - gain.unsqueeze(-1) * seen.unsqueeze(-2)) / self.forgetting
        return weight + gain * error.unsqueeze(-1), inverse

    def _views(self, inputs):
        views = pad(inputs, (0, 0, self.window - 1, 0)).unfold(1, self.window, 1).flatten(2)
        return pad(views, (0, 1), value=1.0).double()
