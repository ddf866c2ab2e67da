"""The best forecasts of the published sine waves, by sums over a grid.

The mean of the posterior of the next sample given the samples seen, for a forecaster that knows the
recipe: amplitude 1, the frequencies, a uniform phase, and of the noise only its range. Integrals
over phase and noise are sums over a grid, so a forecast is the best one up to that grid.
"""

import math

import torch
from torch import Tensor

from ..series.generated_config import SineDataset

NOISE = (0.08, 0.095, 0.11, 0.125, 0.14)
PHASES = 256
AT_ONCE = 8  # positions


class SineFloor:
    """The posterior over frequency and phase on a grid of F frequencies and PHASES phases."""

    def __init__(self, config: SineDataset):
        count = config.series
        self.rates = 1 / (1 + 7 * torch.arange(count, dtype=torch.float64) / count)
        phase = torch.arange(PHASES, dtype=torch.float64) * (2 * math.pi / PHASES)
        self.sin, self.cos = phase.sin().float(), phase.cos().float()
        self.sin2, self.cos2 = (2 * phase).sin().float(), (2 * phase).cos().float()

    def past(self, rows: Tensor) -> Tensor:
        """Forecasts [B, T] of the sample after each, from the whole past of rows [B, T]."""
        return self.window(rows, rows.shape[1])

    def window(self, rows: Tensor, size: int) -> Tensor:
        """Forecasts [B, T] of the sample after each, from the last `size` samples alone."""
        return torch.stack([self.after(row, torch.arange(len(row)), size) for row in rows])

    def after(self, row: Tensor, places: Tensor, size: int) -> Tensor:
        """Forecasts [n] of the samples after `places` [n] of `row` [T], from `size` samples."""
        row = row.double()
        angle = torch.arange(len(row), dtype=torch.float64)[:, None] * self.rates  # [T, F]
        cos, sin = angle.cos(), angle.sin()
        x = row[:, None]
        # Sums over the samples in view are differences of sums from the first sample on.
        parts = (x * cos, x * sin, cos.square() - sin.square(), 2 * sin * cos, x.square())
        sums = []
        for part in parts:
            total = torch.cat([torch.zeros_like(part[:1]), part.cumsum(0)])
            sums.append((total[places + 1] - total[(places + 1 - size).clamp_min(0)]).float())
        counts = (places + 1).clamp_max(size)
        ahead = (places + 1).double()[:, None] * self.rates
        found = [
            self._forecasts([part[at] for part in sums], counts[at], ahead[at])
            for at in torch.arange(len(places)).split(AT_ONCE)
        ]
        return torch.cat(found)

    def _forecasts(self, sums: list[Tensor], counts: Tensor, ahead: Tensor) -> Tensor:
        """Forecasts [n] from sums [n, F] or [n, 1] over the `counts` [n] samples in view."""
        with_cos, with_sin, cos2, sin2, square = (part.unsqueeze(1) for part in sums)
        s, c, s2, c2 = (part[:, None] for part in (self.sin, self.cos, self.sin2, self.cos2))
        # The sum of (x - sin(phase + angle))^2 for each phase and frequency: [n, PHASES, F].
        seen = counts.float()[:, None, None]
        waves = (seen - (c2 * cos2 - s2 * sin2)) / 2
        errors = square - 2 * (s * with_cos + c * with_sin) + waves
        least = errors.amin((1, 2), keepdim=True)
        logs = [-least / (2 * e**2) - seen * math.log(e) for e in NOISE]
        top = torch.stack(logs).amax(0)
        weight = sum(
            (log - top).exp() * ((least - errors) / (2 * e**2)).exp()
            for log, e in zip(logs, NOISE, strict=True)
        )
        value = s * ahead.cos().float()[:, None] + c * ahead.sin().float()[:, None]
        return (weight * value).sum((1, 2)) / weight.sum((1, 2))
