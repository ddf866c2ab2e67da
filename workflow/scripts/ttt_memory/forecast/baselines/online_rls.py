"""A linear autoregression for each series, updated after every sample by recursive least squares.

The prior of its weights is the ridge regression over all training series. Of the options
`precisions` (of the prior) and `forgetting` (factor per sample), each horizon h takes the pair with
the smallest validation error. Haykin, Adaptive Filter Theory, chapter on recursive least squares:

    g = P x / (f + x^T P x),  w <- w + g (y - w^T x),  P <- (P - g x^T P) / f

g and P depend on the windows x alone, so all horizons with one pair share them. The weights of a
horizon learn from the window of t - h when the sample at t is seen, and not before: y = x_t.
"""

import itertools

import torch
from torch import nn
from torch.nn.functional import pad

from ttt_memory.forecast.loss import aligned

OPTIONS = {
    "precisions": [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0],
    "forgetting": [1.0, 0.998],
    "penalty": 1.0,
}

NEEDS_TARGET = True


def build(task, config, options):
    return OnlineRLS(task, options)


class OnlineRLS(nn.Module):
    protocol = "strict"
    seedless = True

    def __init__(self, task, options):
        super().__init__()
        self.task, self.options = task, options
        self.window, self.horizons = task.context_window, task.horizons
        size = task.context_window * task.channels + 1
        self.start = nn.Parameter(torch.zeros(len(task.horizons), size, dtype=torch.float64))
        first = options["precisions"][0], options["forgetting"][0]
        self.pairs = [first] * len(task.horizons)

    @torch.no_grad()
    def fit(self, train, valid):
        """Fit the starts by ridge regression; choose precision and forgetting by validation."""
        for place, horizon in enumerate(self.horizons):
            self.start[place].copy_(self._ridge(train, horizon))
        found = []
        for pair in itertools.product(self.options["precisions"], self.options["forgetting"]):
            forecast = self._filtered(valid.inputs, pair, range(len(self.horizons)))
            found.append((pair, self._errors(forecast, valid)))
        for place in range(len(self.horizons)):
            _, self.pairs[place] = min((errors[place], pair) for pair, errors in found)

    def _ridge(self, train, horizon):
        first = self.window - 1 + horizon
        views = self._views(train.inputs)[:, self.window - 1 : train.inputs.shape[1] - horizon]
        scored = train.scored[:, first:]
        x, y = views[scored], train.target[:, first:][scored].double()
        ridge = torch.eye(x.shape[1], dtype=x.dtype, device=x.device) * self.options["penalty"]
        return torch.linalg.solve(x.T @ x + ridge, x.T @ y)

    def _errors(self, forecast, valid):
        """The mean squared error of each horizon."""
        parts = aligned(forecast, valid, self.task)
        return [(one.forecast - one.target).square()[one.scored].mean().item() for one in parts]

    def forward(self, inputs):
        forecasts = [None] * len(self.horizons)
        for pair in dict.fromkeys(self.pairs):
            places = [place for place, own in enumerate(self.pairs) if own == pair]
            made = self._filtered(inputs, pair, places).unbind(-1)
            for place, forecast in zip(places, made, strict=True):
                forecasts[place] = forecast
        return torch.stack(forecasts, -1)

    def _filtered(self, inputs, pair, places):
        """For each sample in order: learn from it, then forecast at the horizons of `places`."""
        (precision, forgetting), target = pair, inputs[:, :, -1].double()
        views = self._views(inputs)
        batch, length, size = views.shape
        weights = {place: self.start[place].expand(batch, size) for place in places}
        eye = torch.eye(size, dtype=torch.float64, device=inputs.device)
        inverse = (eye / precision).expand(batch, size, size)
        gains, forecasts = {}, []
        for t in range(length):
            if t >= self.window:
                gains[t - 1], inverse = self._gain(inverse, views[:, t - 1], forgetting)
            for place, weight in weights.items():
                origin = t - self.horizons[place]  # its forecast at this horizon was of t
                if origin >= self.window - 1:
                    error = target[:, t] - (weight * views[:, origin]).sum(-1)
                    weights[place] = weight + gains[origin] * error.unsqueeze(-1)
            forecasts.append(torch.stack([(w * views[:, t]).sum(-1) for w in weights.values()], -1))
        return torch.stack(forecasts, 1).to(inputs.dtype)

    @staticmethod
    def _gain(inverse, x, forgetting):
        """G [B, D] for the window x [B, D], and P [B, D, D] after it."""
        seen = (inverse @ x.unsqueeze(-1))[..., 0]
        gain = seen / (forgetting + (x * seen).sum(-1, keepdim=True))
        return gain, (inverse - gain.unsqueeze(-1) * seen.unsqueeze(-2)) / forgetting

    def _views(self, inputs):
        views = pad(inputs, (0, 0, self.window - 1, 0)).unfold(1, self.window, 1).flatten(2)
        return pad(views, (0, 1), value=1.0).double()
