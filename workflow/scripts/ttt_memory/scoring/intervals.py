"""Intervals and p values that respect how probes cluster.

Probes of one dialogue are not independent, so dialogues are what is resampled. Training
seeds are crossed with dialogues (every seed answers the same probes): both factors are
drawn independently with replacement and a cell weighs the product of its two counts (the
pigeonhole bootstrap: Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2),
2007). With one seed this is the plain bootstrap over dialogues.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from .config import ScoringConfig

COVERAGE = (2.5, 97.5)  # percentiles of a 95% interval


@dataclass(frozen=True)
class Cells:
    """Sums of per-probe metrics by training seed and dialogue.

    totals: [seeds, dialogues, metrics] float64; counts: [seeds, dialogues] float64, the
    probes in each cell.
    """

    totals: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, rows: pd.DataFrame, columns: list[str]) -> "Cells":
        """Sum `columns` of the per-probe `rows` by their `seed` and `sample_id`."""
        seed, seeds = pd.factorize(rows["seed"])
        sample, samples = pd.factorize(rows["sample_id"])
        shape = (len(seeds), len(samples))
        cell = seed * shape[1] + sample
        size = shape[0] * shape[1]
        counts = np.bincount(cell, minlength=size).astype(np.float64)
        totals = [
            np.bincount(cell, rows[column].to_numpy(np.float64), minlength=size)
            for column in columns
        ]
        return cls(np.stack(totals, -1).reshape(*shape, -1), counts.reshape(shape))

    def means(self) -> np.ndarray:
        """Mean over seeds of each seed's mean over probes, [metrics]."""
        return (self.totals.sum(1) / self.counts.sum(1)[:, None]).mean(0)

    def draws(self, config: ScoringConfig) -> np.ndarray:
        """`means` of each bootstrap draw, [draws, metrics]; NaN where a draw holds no probe."""
        seeds, dialogues, metrics = self.totals.shape
        by_dialogue = weights(dialogues, config.bootstrap, config.seed)
        by_seed = weights(seeds, config.bootstrap, config.seed + 1) / seeds
        totals = by_dialogue @ self.totals.transpose(1, 0, 2).reshape(dialogues, -1)
        totals = totals.reshape(-1, seeds, metrics)
        with np.errstate(invalid="ignore"):
            rates = totals / (by_dialogue @ self.counts.T)[:, :, None]
        return np.einsum("bs,bsm->bm", by_seed, rates)


@lru_cache(maxsize=64)
def weights(items: int, draws: int, seed: int) -> np.ndarray:
    """How often each of `items` is drawn in `items` draws with replacement, [draws, items].

    A function of its arguments only, so that an interval does not depend on which others
    were computed before it.
    """
    rng = np.random.default_rng([seed, items])
    return rng.multinomial(items, np.full(items, 1 / items), size=draws).astype(np.float64)


def percentile(draws: np.ndarray) -> tuple[float, float]:
    """The percentile interval of one statistic's draws [draws], undefined draws left out."""
    finite = draws[np.isfinite(draws)]
    if finite.size == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(finite, COVERAGE)
    return float(low), float(high)


def quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Elementwise ratio, NaN where the denominator is zero."""
    return np.divide(
        numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0
    )


def sign_flip(differences: np.ndarray, permutations: int, seed: int) -> float:
    """Two-sided p value of "each dialogue's difference is as likely of either sign".

    `differences` [dialogues] are sums of paired differences. The signs of whole dialogues
    are flipped at random; the observed assignment counts as one of the permutations, so
    that p >= 1 / (permutations + 1). A paired permutation test (Good, "Permutation Tests").
    """
    moved = differences[differences != 0]
    if moved.size == 0:
        return 1.0
    rng = np.random.default_rng([seed, moved.size])
    signs = rng.integers(0, 2, size=(permutations, moved.size), dtype=np.int8) * 2 - 1
    # A tie must count as extreme whatever the order of summation did to its last bits.
    reached = np.abs(signs @ moved) >= abs(moved.sum()) * (1 - 1e-12)
    return float((1 + reached.sum()) / (permutations + 1))
