"""The best forecasts of waves that change frequency, by an exact filter of the hidden Markov chain.

The mean of the next sample given the samples seen, for a forecaster that knows the whole recipe. No
forecaster has a smaller expected squared error. There is no approximation but rounding.
"""

import math

import torch
from torch import Tensor

from ..series.generated_config import SwitchDataset
from ..series.switch import long_run, regimes, transitions


class SwitchFloor:
    """A filter over phase and regime: P phases, M regimes; beliefs are [B, P, M], float64."""

    def __init__(self, config: SwitchDataset):
        matrix = transitions(config)
        self.matrix, self.noise = torch.from_numpy(matrix), config.noise
        phases = torch.arange(config.phases)
        self.wave = torch.sin(2 * math.pi * phases.double() / config.phases)
        speeds = torch.from_numpy(regimes(config)[:, 0])
        # Where the phase p of a regime comes from: [P, M].
        self.before = (phases[:, None] - speeds) % config.phases
        self.start = torch.from_numpy(long_run(matrix)).expand(config.phases, -1) / config.phases

    def past(self, rows: Tensor) -> Tensor:
        """Forecasts [B, T] of the sample after each, from the whole past of rows [B, T]."""
        belief, found = self.start.expand(len(rows), -1, -1), []
        for sample in rows.double().T:
            belief, forecast = self._next(belief, sample)
            found.append(forecast)
        return torch.stack(found, 1)

    def window(self, rows: Tensor, size: int) -> Tensor:
        """Forecasts [B, T] of the sample after each, from the last `size` samples alone."""
        found = [self.past(rows[:, : size - 1])[:, : size - 1]]
        for row in rows:  # one at a time, since all its windows are filtered at once
            windows = row.unfold(0, size, 1)
            found.append(self.past(windows)[:, -1])
        begin, *rest = found
        return torch.cat([begin, torch.stack(rest)], 1)

    def _next(self, belief: Tensor, sample: Tensor) -> tuple[Tensor, Tensor]:
        """The belief about the next sample after `sample` [B], and its mean [B]."""
        errors = -(sample[:, None] - self.wave).square() / (2 * self.noise**2)
        likely = (errors - errors.amax(1, keepdim=True)).exp()
        belief = belief * likely[..., None]
        belief = belief / belief.sum((1, 2), keepdim=True)
        belief = (belief @ self.matrix).gather(1, self.before.expand(len(belief), -1, -1))
        return belief, (belief.sum(2) * self.wave).sum(1)
