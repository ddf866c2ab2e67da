"""How well the sine waves can be forecast at best: from a window of samples, from the whole past.

    python benchmarks/sine_floor.py [--arrays data/sinwave/test.npy] [--window 16] [--every 7]

The best forecasts are those of the baseline `floor` (`forecast/floors/sine.py`). Only every so many
positions are forecast, so that arrays of published code take minutes. --arrays: series [N, T, 1];
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
from ttt_memory.forecast.floors.sine import SineFloor
from ttt_memory.forecast.series.config import SineDataset
from ttt_memory.forecast.series.make import make


def series(arrays: str | None) -> Tensor:
    """`[N, T]`, float64."""
    if arrays is None:
        return make(SineDataset()).splits["test"].target.double()
    if not Path(arrays).is_file():
        raise UserError(f"{arrays}: no such file")
    return torch.from_numpy(np.load(arrays, allow_pickle=False)).double().squeeze(-1)


def floor(rows: Tensor, first: int, every: int, window: int | None) -> tuple[float, float, int]:
    """MSE of forecasts from position `first` on, its standard error over series, their number."""
    best, means, count = SineFloor(SineDataset()), [], 0
    for number, row in enumerate(rows):
        places = torch.arange(first + number % every, len(row), every)
        made = best.after(row, places - 1, window or len(row))
        means.append(float((row[places] - made).square().mean()))
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
