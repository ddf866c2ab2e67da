"""Noisy waves whose frequency drifts and switches: x_t = sin(2 pi phase_t / P) + noise N(0, 1).

A hidden Markov chain. Its hidden state is a phase of P, a speed and a drift of -1, 0 or 1. At each
sample a new speed and drift are drawn with probability `switch`. Otherwise the speed moves by the
drift with probability `drift`, and stays at the ends of its range. Then the phase moves by the
speed. Speed and drift begin as the chain has them in the long run, and the phase anywhere, so that
a window says nothing by its place.
"""

import numpy as np

from .by_series import split_by_series
from .dataset import Series
from .generated_config import SwitchDataset

DRIFTS = (-1, 0, 1)


def regimes(config: SwitchDataset) -> np.ndarray:
    """Speed and drift of each of M hidden states, int [M, 2]."""
    speeds = range(config.slowest, config.fastest + 1)
    return np.array([(speed, drift) for speed in speeds for drift in DRIFTS])


def transitions(config: SwitchDataset) -> np.ndarray:
    """Probability of the hidden state after a sample, given the one before: [M, M]."""
    states = regimes(config)
    place = {tuple(state): index for index, state in enumerate(states.tolist())}
    found = np.full((len(states), len(states)), config.switch / len(states))
    for index, (speed, drift) in enumerate(states.tolist()):
        moved = min(max(speed + drift, config.slowest), config.fastest)
        stays = 1 - config.switch
        found[index, place[moved, drift]] += stays * config.drift
        found[index, index] += stays * (1 - config.drift)
    return found


def long_run(matrix: np.ndarray) -> np.ndarray:
    """The distribution [M] that a chain with these transitions [M, M] keeps."""
    count = len(matrix)
    # The average over time of a chain that begins anywhere; also right if it never switches.
    system = np.vstack([matrix.T - np.eye(count), np.ones(count)])
    found, *_ = np.linalg.lstsq(system, np.append(np.zeros(count), 1), rcond=None)
    return np.maximum(found, 0) / np.maximum(found, 0).sum()


def make(config: SwitchDataset) -> Series:
    """The series of `config`; the same seed gives the same numbers."""
    rng = np.random.default_rng(config.seed)
    waves = _waves(config, rng)
    origins = [f"wave {number}" for number in range(config.series)]
    noise = np.full(config.series, config.noise**2)
    return split_by_series(config, waves, origins, noise, rng)


def _waves(config: SwitchDataset, rng: np.random.Generator) -> np.ndarray:
    """Samples of every series, [series, length]."""
    states, matrix = regimes(config), transitions(config)
    sums = matrix.cumsum(1)
    state = rng.choice(len(states), config.series, p=long_run(matrix))
    phase = rng.integers(config.phases, size=config.series)
    phases = np.empty((config.series, config.length), int)
    for position in range(config.length):
        phases[:, position] = phase
        drawn = rng.uniform(size=(config.series, 1)) * sums[state, -1:]
        state = (drawn >= sums[state]).sum(1)
        phase = (phase + states[state, 0]) % config.phases
    noise = rng.standard_normal(phases.shape)
    return np.sin(2 * np.pi * phases / config.phases) + config.noise * noise
