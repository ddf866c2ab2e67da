"""ARIMA of the library statsforecast, with orders and parameters from the training part alone.

The library's AutoARIMA chooses the orders by AICc (Hyndman and Khandakar, 2008, "Automatic time
series forecasting: the forecast package for R"). It is fitted to `candidates` stretches of about
`samples` samples, spread over the training records, and the fit with the smallest validation error
is kept. `season` counts samples; 1 is no season. Nothing is fitted after that. Each series is
filtered with the parameters found, from a state that knows nothing of it, so a forecast sees the
past of its own series alone.

A forecast is what the library's `forward` gives for the samples up to there. `forward` begins anew
for every forecast, so the filter is written out here, once for all series; `by_forward` is the
readable form. The library's fitted values are of no use: they are the sample less its innovation
in units of its expected size, and in the first season, when that is large, they hold the very
sample that they forecast.
"""

import warnings

import numpy as np
import torch
from torch import nn

from ttt_memory.errors import UserError
from ttt_memory.forecast.libraries import load
from ttt_memory.forecast.loss import mse

OPTIONS = {"season": 1, "samples": 2000, "candidates": 4}
NEEDS_PACKAGE = "statsforecast"
NEEDS_TARGET = True


def build(task, config, options):
    return AutoARIMA(task, options)


class AutoARIMA(nn.Module):
    protocol = "strict"
    seedless = True

    def __init__(self, task, options):
        super().__init__()
        self.task, self.options = task, options
        self.stride = getattr(task.recipe, "stride", 0)
        self.make_arima = load("auto_arima", "statsforecast.arima").make_arima
        # Before it is fitted, it is a random walk.
        none = np.zeros(0)
        self._take({}, {"phi": none, "theta": none, "delta": np.ones(1)})

    def fit(self, train, valid):
        """Fit to every stretch, and keep the fit with the smallest validation error."""
        tried = []
        for stretch in stretches(train, self.stride, self.options):
            fitted = self._fitted(stretch)
            self._take(fitted.model_["coef"], fitted.model_["model"])
            tried.append((mse(self(valid.inputs), valid, self.task).item(), len(tried), fitted))
        _, _, self.library = min(tried)
        self._take(self.library.model_["coef"], self.library.model_["model"])
        found = load("auto_arima", "statsforecast.arima").arima_string(self.library.model_)
        print(f"auto_arima: {found.strip()}, the best of {len(tried)} fits", flush=True)

    def _fitted(self, stretch):
        auto = load("auto_arima", "statsforecast.models").AutoARIMA
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                # Approximate likelihoods while orders are compared, as in R for long series.
                return auto(season_length=self.options["season"], approximation=True).fit(stretch)
            except Exception as error:
                raise UserError(
                    f"baseline auto_arima: statsforecast fits nothing to {len(stretch)} training"
                    f" samples ({type(error).__name__}: {error})"
                ) from error

    def _take(self, coefficients, model):
        """Filter with these parameters from now on."""
        values = torch.tensor(list(coefficients.values()), dtype=torch.float64)
        self.coefficients = nn.Parameter(values, requires_grad=False)
        self.level = coefficients.get("intercept", 0.0)
        self.slope = coefficients.get("drift", 0.0)
        # Made anew, since a fit leaves the covariance as it was after the last sample.
        space = self.make_arima(model["phi"], model["theta"], model["delta"])
        parts = (space["Z"], space["T"], space["V"], space["Pn"])
        self.space = [torch.from_numpy(np.array(part, float)) for part in parts]

    @torch.no_grad()
    def forward(self, inputs):
        target = inputs[:, :, -1].double()
        steps = torch.arange(1, target.shape[1] + 1, device=target.device)
        later = steps.unsqueeze(1) + torch.tensor(self.task.horizons, device=target.device)
        seen, ahead = (self.level + self.slope * times for times in (steps, later))
        return (self._filter(target - seen) + ahead).to(inputs.dtype)

    def _filter(self, target):
        """Forecasts [B, T, H] of series [B, T] by the Kalman filter.

        A forecast h samples ahead moves the state of the next sample h - 1 times. Durbin and
        Koopman, "Time series analysis by state space methods", section 4.3; there is no noise of
        observation.
        """
        read, move, noise, covariance = (part.to(target.device) for part in self.space)
        reads = [
            torch.linalg.matrix_power(move, horizon - 1).T @ read for horizon in self.task.horizons
        ]
        reads = torch.stack(reads, 1)
        state = target.new_zeros(len(target), len(read))
        forecasts = []
        for sample in target.T:
            shared = covariance @ read
            gain = shared / (read @ shared)
            state = state + (sample - state @ read).unsqueeze(1) * gain
            covariance = covariance - torch.outer(gain, shared)
            state = state @ move.T
            covariance = move @ covariance @ move.T + noise
            forecasts.append(state @ reads)
        return torch.stack(forecasts, 1)

    def by_forward(self, series, first):
        """What `forward` returns for one series [T] from sample `first` on, by the library."""
        past = [series[: end + 1].double().numpy() for end in range(first, len(series))]
        steps = [horizon - 1 for horizon in self.task.horizons]
        return [self.library.forward(seen, steps[-1] + 1)["mean"][steps] for seen in past]


def stretches(train, stride, options):
    """The target in `candidates` stretches, spread evenly over all training records."""
    parts = []
    for record in records(train, stride):
        count = max(1, round(len(record) / options["samples"]))
        parts += np.array_split(record, count)
    chosen = np.linspace(0, len(parts) - 1, min(options["candidates"], len(parts)))
    return [parts[round(place)] for place in chosen]


def records(split, stride):
    """The target of each record: windows that begin `stride` samples apart are joined again."""
    found = []
    for number, (inputs, target) in enumerate(zip(split.inputs, split.target, strict=True)):
        samples = target.double().cpu().numpy()
        overlap = 0 < stride < len(inputs) and number > 0
        if overlap and torch.equal(inputs[:-stride], split.inputs[number - 1, stride:]):
            found[-1].append(samples[-stride:])
        else:
            found.append([samples])
    return [np.concatenate(parts) for parts in found]
