"""One linear autoregression for all series: ridge regression on the samples of the window.

Of the option `penalties`, the one with the smallest validation error is used. The intercept is
not penalised.
"""

import torch
from torch import nn
from torch.nn.functional import pad

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
        """Solve the normal equations of the training series for each penalty and keep the best."""
        x, y = self._examples(train)
        mean_x, mean_y = x.mean(0), y.mean()
        x, y = x - mean_x, y - mean_y
        gram, moment = x.T @ x, x.T @ y
        valid_x, valid_y = self._examples(valid)
        fitted = []
        for penalty in self.penalties:
            ridge = torch.eye(len(gram), dtype=gram.dtype, device=gram.device) * penalty
            weight = torch.linalg.solve(gram + ridge, moment)
            bias = mean_y - mean_x @ weight
            error = (valid_x @ weight + bias - valid_y).square().mean()
            fitted.append((error.item(), weight, bias))
        _, weight, bias = min(fitted, key=lambda one: one[0])
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def _examples(self, split):
        """Windows [M, window * channels] and the scored targets after them [M], float64."""
        views = self._views(split.inputs)[:, self.window - 1 : -1]
        scored = split.scored[:, self.window :]
        return views[scored].double(), split.target[:, self.window :][scored].double()

    def forward(self, inputs):
        return self._views(inputs) @ self.weight + self.bias

    def _views(self, inputs):
        return pad(inputs, (0, 0, self.window - 1, 0)).unfold(1, self.window, 1).flatten(2)
