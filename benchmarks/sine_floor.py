"""How well the sine waves can be forecast at best: from a window of samples, from the whole past.

    python benchmarks/sine_floor.py [--arrays data/sinwave/test.npy] [--window 16] [--every 7]

The mean of the posterior of x[t] given the samples seen, for a forecaster that knows the recipe:
amplitude 1, the 700 frequencies, a uniform phase, and of the noise only its range. No forecaster
can do better on average; one that beats the floor of a window has used older samples. Integrals
are sums over a grid; only every so many positions are forecast. --arrays: series [N, T, 1];
without it, the test part of `source: sine` with seed 0.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory.errors import UserError, run
from ttt_memory.forecast.series.config import SineDataset
from ttt_memory.forecast.series.make import make

PERIODS = 1 + 0.01 * torch.arange(700, dtype=torch.float64)  # f of x_i = sin(phase + i / f)
NOISE = torch.tensor([0.08, 0.095, 0.11, 0.125, 0.14], dtype=torch.float64)
PHASES = 384


def series(arrays: str | None) -> Tensor:
    """`[N, T]`, float64."""
    if arrays is None:
        return make(SineDataset()).splits["test"].target.double()
    if not Path(arrays).is_file():
        raise UserError(f"{arrays}: no such file")
    return torch.from_numpy(np.load(arrays, allow_pickle=False)).double().squeeze(-1)


class Posterior:
    """Over frequency and phase at the first sample seen, on a grid."""

    def __init__(self) -> None:
        phase = torch.arange(PHASES, dtype=torch.float64) * (2 * torch.pi / PHASES)
        self.sin, self.cos = phase.sin(), phase.cos()
        self.sin2, self.cos2 = (2 * phase).sin(), (2 * phase).cos()

    def next(self, seen: Tensor) -> float:
        """Mean of the noiseless sample after `seen` `[n]`."""
        count = len(seen)
        angle = torch.arange(count, dtype=torch.float64)[:, None] / PERIODS  # [n, 700]
        # sum (x - sin(phase + angle))^2, its parts by sums over the samples alone.
        with_cos, with_sin = seen @ angle.cos(), seen @ angle.sin()
        double_cos, double_sin = (2 * angle).cos().sum(0), (2 * angle).sin().sum(0)
        cross = self.sin[:, None] * with_cos + self.cos[:, None] * with_sin
        square = self.cos2[:, None] * double_cos - self.sin2[:, None] * double_sin
        error = seen.square().sum() - 2 * cross + (count - square) / 2  # [phases, 700]
        logs = torch.stack([-error / (2 * e**2) - count * e.log() for e in NOISE])
        weight = (logs - logs.max()).exp().sum(0)
        ahead = count / PERIODS
        value = self.sin[:, None] * ahead.cos() + self.cos[:, None] * ahead.sin()
        return float((weight * value).sum() / weight.sum())


def floor(rows: Tensor, first: int, every: int, window: int | None) -> tuple[float, float, int]:
    """MSE of forecasts from position `first` on, its standard error over series, their number."""
    posterior, means, count = Posterior(), [], 0
    for number, row in enumerate(rows):
        places = range(first + number % every, len(row), every)
        made = [posterior.next(row[t - window if window else 0 : t]) for t in places]
        means.append(float((row[list(places)] - torch.tensor(made)).square().mean()))
        count += len(places)
    return float(np.mean(means)), float(np.std(means, ddof=1) / len(means) ** 0.5), count


def main() -> None:
    """Print both floors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arrays", help=".npy file of test series [N, T, 1]")
    parser.add_argument("--window", type=int, default=16, help="samples in view")
    parser.add_argument("--every", type=int, default=7, help="forecast every so many positions")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = series(args.arrays)
    print(f"{len(rows)} series, positions from {args.window} on, every {args.every}")
    for what, window in ((f"{args.window} samples in view", args.window), ("the whole past", None)):
        mse, error, count = floor(rows, args.window, args.every, window)
        print(
            f"{what:<24} MSE {mse:.5f}, standard error {error:.5f}, {count} forecasts", flush=True
        )


if __name__ == "__main__":
    run(main)
