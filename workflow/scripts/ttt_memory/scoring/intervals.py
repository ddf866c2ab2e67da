"""Intervals and p values for probes that are grouped into dialogues and training seeds.

Probes of one dialogue are not independent, so whole dialogues are resampled. Every training seed
answers the same probes, so seeds are crossed with dialogues. Both are drawn independently with
replacement. The weight of a cell (one seed, one dialogue) is the product of the two counts. This
is the pigeonhole bootstrap (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2),
2007). With one seed it is the plain bootstrap over dialogues.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from .config import ScoringConfig

COVERAGE = (2.5, 97.5)  # percentiles of a 95% interval


@dataclass(frozen=True)
class Cells:
    """Sums of per-probe metrics by training seed and dialogue.

    Attributes:
        totals: [seeds, dialogues, metrics] float64, sums over the probes of each cell.
        counts: [seeds, dialogues] float64, the number of probes in each cell.
        seeds: the training seeds.
    """

    totals: np.ndarray
    counts: np.ndarray
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, rows: pd.DataFrame, columns: list[str]) -> "Cells":
        """Sum `columns` of `rows`, one per probe, by their integer `seed` and `dialogue`."""
        seeds, seed = np.unique(rows["seed"].to_numpy(), return_inverse=True)
        dialogues, dialogue = np.unique(rows["dialogue"].to_numpy(), return_inverse=True)
        cell = seed * len(dialogues) + dialogue
        size = len(seeds) * len(dialogues)
        counts = np.bincount(cell, minlength=size).astype(np.float64)
        values = rows[columns].to_numpy(np.float64)
        totals = np.stack([np.bincount(cell, column, minlength=size) for column in values.T], -1)
        shape = (len(seeds), len(dialogues))
        return cls(totals.reshape(*shape, -1), counts.reshape(shape), tuple(seeds.tolist()))

    @property
    def probes(self) -> int:
        """Number of probes that one seed answers."""
        return round(self.counts.sum() / len(self.seeds))

    @property
    def dialogues(self) -> int:
        """Number of dialogues that the probes belong to."""
        return self.counts.shape[1]

    def each_seed(self) -> Iterator["Cells"]:
        """The cells of each training seed alone."""
        for place, seed in enumerate(self.seeds):
            asked = self.counts[place] > 0
            yield Cells(
                self.totals[place : place + 1, asked],
                self.counts[place : place + 1, asked],
                (seed,),
            )

    def means(self) -> np.ndarray:
        """[metrics]: the mean over probes for each seed, then the mean over seeds."""
        return (self.totals.sum(1) / self.counts.sum(1)[:, None]).mean(0)

    def draws(self, config: ScoringConfig) -> np.ndarray:
        """[draws, metrics]: `means` of each bootstrap draw; NaN where a draw has no probe."""
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
    """[draws, items] float64: how often each item comes up in `items` draws with replacement.

    The result depends on the arguments alone, so an interval does not depend on the intervals
    that were computed before it.
    """
    rng = np.random.default_rng([seed, items])
    return rng.multinomial(items, np.full(items, 1 / items), size=draws).astype(np.float64)


def percentile(draws: np.ndarray) -> np.ndarray:
    """[2, statistics]: the percentile interval of each column of `draws` [draws, statistics].

    Draws in which any statistic is undefined are left out. The result is NaN if none is left.
    """
    defined = draws[np.isfinite(draws).all(axis=1)]
    if len(defined) == 0:
        return np.full((2, draws.shape[1]), np.nan)
    return np.percentile(defined, COVERAGE, axis=0)


def quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Elementwise ratio, NaN where the denominator is zero."""
    return np.divide(
        numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0
    )


def sign_flip(differences: np.ndarray, permutations: int, seed: int) -> float:
    """Two-sided p value of a paired permutation test (Good, "Permutation Tests").

    The hypothesis is that the difference of each dialogue is equally likely to have either sign.
    `differences` [dialogues] are the sums of each dialogue's paired differences. The signs of
    whole dialogues are flipped at random. The observed signs count as one of the permutations,
    so p is at least 1 / (permutations + 1).
    """
    moved = differences[differences != 0]
    if moved.size == 0:
        return 1.0
    rng = np.random.default_rng([seed, moved.size])
    signs = rng.integers(0, 2, size=(permutations, moved.size), dtype=np.int8) * 2 - 1
    # An equal sum counts as extreme, even if rounding changed its last bits.
    reached = np.abs(signs @ moved) >= abs(moved.sum()) * (1 - 1e-12)
    return float((1 + reached.sum()) / (permutations + 1))
