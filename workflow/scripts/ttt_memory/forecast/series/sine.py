"""Noisy sine waves: x_i = sin(phase + i / f) + eps N(0, 1), one frequency per series.

f is spread evenly over [1, 8); with 700 series that is the published f = 1 + 0.01 k for k = 0 to
699. For each series, phase is uniform on [0, 2 pi] and eps on [0.08, 0.14]. The series are
shuffled before they are split, and they are not standardised.
"""

import numpy as np

from .by_series import split_by_series
from .dataset import Series
from .generated_config import SineDataset


def make(config: SineDataset) -> Series:
    """The series of `config`; the same seed gives the same numbers."""
    rng = np.random.default_rng(config.seed)
    count, steps = config.series, np.arange(config.length)
    f = 1 + 7 * np.arange(count) / count
    phase = rng.uniform(0, 2 * np.pi, count)
    eps = rng.uniform(0.08, 0.14, count)
    noise = rng.standard_normal((count, config.length))
    waves = np.sin(phase[:, None] + steps / f[:, None]) + eps[:, None] * noise
    origins = [f"f={value:.3f}" for value in f]
    return split_by_series(config, waves, origins, eps**2, rng)
