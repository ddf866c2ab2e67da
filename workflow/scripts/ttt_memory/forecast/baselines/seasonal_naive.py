"""Forecast the value of the target one period ago (Hyndman and Athanasopoulos, "Forecasting:
principles and practice", section 5.2).

The option `period` counts samples: 24 is a day of hourly samples. As long as a series is younger
than a period, its last value is the forecast.
"""

from torch import cat, nn

from ttt_memory.errors import UserError

OPTIONS = {"period": 24}
NEEDS_TARGET = True


def build(task, config, options):
    if not task.observed:
        raise UserError("baseline seasonal_naive needs a dataset with observe_target: true")
    if options["period"] < 1:
        raise UserError(f"option period is {options['period']}, expected at least 1")
    return SeasonalNaive(options["period"])


class SeasonalNaive(nn.Module):
    protocol = "strict"
    seedless = True

    def __init__(self, period):
        super().__init__()
        self.period = period

    def fit(self, train, valid):
        """There is nothing to fit."""

    def forward(self, inputs):
        target = inputs[:, :, -1]
        # Entry t forecasts the target at t + 1, so a period ago is t + 1 - period.
        ago = self.period - 1
        young = target[:, :ago]
        return cat([young, target[:, : target.shape[1] - young.shape[1]]], 1)
