"""Noisy sine waves: x_i = sin(phase + i / f) + eps N(0, 1), one frequency per series.

f is spread evenly over [1, 8); with 700 series that is the published f = 1 + 0.01 k for k = 0 to
699. For each series, phase is uniform on [0, 2 pi] and eps on [0.08, 0.14]. The series are
shuffled before they are split, and they are not standardised.
"""

import numpy as np
import torch

from .config import SineDataset
from .dataset import SPLITS, Series, Split
from .usage import Usage


def make(config: SineDataset) -> Series:
    """The series of `config`; the same seed gives the same numbers."""
    rng = np.random.default_rng(config.seed)
    count, steps = config.series, np.arange(config.length)
    f = 1 + 7 * np.arange(count) / count
    phase = rng.uniform(0, 2 * np.pi, count)
    eps = rng.uniform(0.08, 0.14, count)
    noise = rng.standard_normal((count, config.length))
    waves = np.sin(phase[:, None] + steps / f[:, None]) + eps[:, None] * noise
    order = rng.permutation(count)
    train = round(config.fractions[0] * count)
    valid = round(config.fractions[1] * count)
    parts = dict(zip(SPLITS, np.split(order, [train, train + valid]), strict=True))
    splits = {}
    for name, rows in parts.items():
        target = torch.from_numpy(waves[rows].astype(np.float32))
        scored = torch.ones_like(target, dtype=torch.bool)
        if name != "train":
            scored[:, : config.first_scored] = False
        origins = tuple(f"f={f[row]:.3f}" for row in rows)
        splits[name] = Split(target.unsqueeze(-1), target, scored, origins)
    samples = {name: split.target.numel() for name, split in splits.items()}
    counted = {name: int(split.scored.sum()) for name, split in splits.items()}
    counted["train"] -= len(splits["train"]) * config.context_window
    usage = Usage(samples, samples, {name: len(rows) for name, rows in parts.items()}, counted)
    # Whoever knows each wave itself still errs by its noise.
    floor = float(np.mean(eps[parts["test"]] ** 2))
    return Series(splits, ("x",), "x", True, 0.0, 1.0, separate=True, usage=usage, floor=floor)
