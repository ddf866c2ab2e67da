"""One linear autoregression for all series: ridge regression on the samples of the window.

Of the option `penalties`, the one with the smallest validation error is used. The intercept is
not penalised.
"""

import torch
from torch import nn
from torch.nn.functional import pad

from ttt_memory.forecast.window_products import window_products

OPTIONS = {"penalties": [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]}


def build(task, config, options):
    return LinearAR(task, options["penalties"])


class LinearAR(nn.Module):
    protocol = "strict"
    seedless = True

    def __init__(self, task, penalties):
        super().__init__()
        self.window, self.penalties = task.context_window, penalties
        self.weight = nn.Parameter(torch.zeros(task.context_window * task.channels))
        self.bias = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def fit(self, train, valid):
        """Solve the normal equations once, for all penalties, and keep the best of these."""
        shift = train.inputs.double().mean((0, 1))
        seen, tried = (window_products(part, self.window, shift) for part in (train, valid))
        gram = seen.xx - torch.outer(seen.x, seen.x) / seen.count
        values, vectors = torch.linalg.eigh(gram)
        moment = vectors.T @ (seen.xy - seen.x * seen.y / seen.count)
        fitted = []
        for penalty in self.penalties:
            weight = vectors @ (moment / (values + penalty))
            bias = (seen.y - seen.x @ weight) / seen.count
            fitted.append((tried.squared_error(weight, bias).item(), weight, bias))
        _, weight, bias = min(fitted, key=lambda one: one[0])
        self.weight.copy_(weight)
        self.bias.copy_(bias - weight @ shift.repeat_interleave(self.window))

    def forward(self, inputs):
        return self._views(inputs) @ self.weight + self.bias

    def _views(self, inputs):
        return pad(inputs, (0, 0, self.window - 1, 0)).unfold(1, self.window, 1).flatten(2)
