"""Forecast the last value of the target that was seen at the same place of a period (Hyndman and
Athanasopoulos, "Forecasting: principles and practice", section 5.2).

The option `period` counts samples: 24 is a day of hourly samples. For a horizon of at most a
period, that is the value one period before the target; for a larger one, as many periods before as
are needed. As long as a series is too young for it, its last value is the forecast.
"""

from torch import cat, nn, stack

OPTIONS = {"period": 24}
NEEDS_TARGET = True


def build(task, config, options):
    return SeasonalNaive(options["period"], task.horizons)


class SeasonalNaive(nn.Module):
    protocol = "strict"
    seedless = True

    def __init__(self, period, horizons):
        super().__init__()
        self.period, self.horizons = period, horizons

    def fit(self, train, valid):
        """There is nothing to fit."""

    def forward(self, inputs):
        target = inputs[:, :, -1]
        return stack([self._ahead(target, horizon) for horizon in self.horizons], -1)

    def _ahead(self, target, horizon):
        # Of t + horizon, the same place of a period was last seen `ago` samples before t.
        ago = -horizon % self.period
        young = target[:, :ago]
        return cat([young, target[:, : target.shape[1] - young.shape[1]]], 1)
