"""One linear autoregression for all series: ridge regression on the samples of the window.

Each horizon has its own regression, on the windows that have a target so far ahead. Of the option
`penalties`, each takes the one with the smallest validation error. The intercept is not penalised.
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
        self.window, self.horizons, self.penalties = task.context_window, task.horizons, penalties
        size = task.context_window * task.channels
        self.weight = nn.Parameter(torch.zeros(len(task.horizons), size))
        self.bias = nn.Parameter(torch.zeros(len(task.horizons)))

    @torch.no_grad()
    def fit(self, train, valid):
        """Solve the normal equations of each horizon, for all penalties, and keep the best."""
        shift = train.inputs.double().mean((0, 1))
        for place, horizon in enumerate(self.horizons):
            weight, bias = self._solved(train, valid, shift, horizon)
            self.weight[place].copy_(weight)
            self.bias[place].copy_(bias - weight @ shift.repeat_interleave(self.window))

    def _solved(self, train, valid, shift, horizon):
        """Weight and bias, of windows less `shift`, with the penalty that forecasts best."""
        seen, tried = (
            window_products(part, self.window, shift, horizon) for part in (train, valid)
        )
        gram = seen.xx - torch.outer(seen.x, seen.x) / seen.count
        values, vectors = torch.linalg.eigh(gram)
        moment = vectors.T @ (seen.xy - seen.x * seen.y / seen.count)
        fitted = []
        for penalty in self.penalties:
            weight = vectors @ (moment / (values + penalty))
            bias = (seen.y - seen.x @ weight) / seen.count
            fitted.append((tried.squared_error(weight, bias).item(), weight, bias))
        return min(fitted, key=lambda one: one[0])[1:]

    def forward(self, inputs):
        views = self._views(inputs)
        return torch.stack(
            [views @ weight + bias for weight, bias in zip(self.weight, self.bias, strict=True)], -1
        )

    def _views(self, inputs):
        return pad(inputs, (0, 0, self.window - 1, 0)).unfold(1, self.window, 1).flatten(2)
