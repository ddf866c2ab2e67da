"""Intervals and p values for probes that are grouped into skeletons, dialogues and training seeds.

Probes of one dialogue are not independent, and neither are dialogues of one skeleton: they have the
same wording. So skeletons are resampled with replacement and, within each one drawn, its dialogues
(a hierarchical bootstrap; Davison and Hinkley, "Bootstrap Methods and their Application", 1997,
section 3.8). Every training seed answers the same probes, so seeds are crossed with both and drawn
independently. The weight of a cell (one seed, one dialogue) is the product of the two counts. This
is the pigeonhole bootstrap (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2),
2007). With one seed and one dialogue of each skeleton it is the plain bootstrap over dialogues.
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
        skeleton: [dialogues] int64, the skeleton of each dialogue, as a number from 0.
    """

    totals: np.ndarray
    counts: np.ndarray
    seeds: tuple[int, ...]
    skeleton: np.ndarray

    @classmethod
    def of(cls, rows: pd.DataFrame, columns: list[str]) -> "Cells":
        """Sum `columns` of `rows`, one per probe, by their integer `seed` and `dialogue`.

        The `skeleton` of a dialogue, any value, says which dialogues belong together.
        """
        seeds, seed = np.unique(rows["seed"].to_numpy(), return_inverse=True)
        dialogues, first, dialogue = np.unique(
            rows["dialogue"].to_numpy(), return_index=True, return_inverse=True
        )
        skeleton = pd.factorize(rows["skeleton"].to_numpy()[first], sort=True)[0]
        cell = seed * len(dialogues) + dialogue
        size = len(seeds) * len(dialogues)
        counts = np.bincount(cell, minlength=size).astype(np.float64)
        values = [rows[column].to_numpy(np.float64) for column in columns]
        totals = np.stack([np.bincount(cell, column, minlength=size) for column in values], -1)
        shape = (len(seeds), len(dialogues))
        seeds = tuple(seeds.tolist())
        return cls(totals.reshape(*shape, -1), counts.reshape(shape), seeds, skeleton)

    @property
    def probes(self) -> int:
        """Number of probes that one seed answers."""
        return round(self.counts.sum() / len(self.seeds))

    @property
    def dialogues(self) -> int:
        """Number of dialogues that the probes belong to."""
        return self.counts.shape[1]

    @property
    def skeletons(self) -> int:
        """Number of skeletons that the dialogues have."""
        return len(np.unique(self.skeleton))

    def by_skeleton(self) -> np.ndarray:
        """[seeds, skeletons, metrics]: `totals` summed over the dialogues of each skeleton."""
        member = self.skeleton[None] == np.unique(self.skeleton)[:, None]
        return np.einsum("kd,sdm->skm", member.astype(np.float64), self.totals)

    def each_seed(self) -> Iterator["Cells"]:
        """The cells of each training seed alone."""
        for place, seed in enumerate(self.seeds):
            asked = self.counts[place] > 0
            yield Cells(
                self.totals[place : place + 1, asked],
                self.counts[place : place + 1, asked],
                (seed,),
                self.skeleton[asked],
            )

    def means(self) -> np.ndarray:
        """[metrics]: the mean over probes for each seed, then the mean over seeds."""
        return (self.totals.sum(1) / self.counts.sum(1)[:, None]).mean(0)

    def draws(self, config: ScoringConfig, other_run: bool = False) -> np.ndarray:
        """[draws, metrics]: `means` of each bootstrap draw; NaN where a draw has no probe.

        The seeds of an `other_run` are drawn apart from those of the run it is compared with.
        """
        seeds, dialogues, metrics = self.totals.shape
        by_dialogue = nested_weights(tuple(self.skeleton), config.bootstrap, config.seed)
        by_seed = weights(seeds, config.bootstrap, config.seed + 1 + other_run) / seeds
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


@lru_cache(maxsize=4)
def nested_weights(skeleton: tuple[int, ...], draws: int, seed: int) -> np.ndarray:
    """[draws, dialogues] float64: how often each dialogue comes up in each draw.

    As many skeletons as there are come up with replacement. Each time that one comes up, as many of
    its dialogues as it has are drawn with replacement. `skeleton` has one entry per dialogue.
    """
    number = np.unique(np.array(skeleton), return_inverse=True)[1]
    times = weights(number.max() + 1, draws, seed).astype(np.int64)
    rng = np.random.default_rng([seed, *number])
    found = np.empty((draws, len(number)))
    for place, drawn in enumerate(times.T):
        members = np.flatnonzero(number == place)
        # Draws of one size, taken k times, are one draw of k times that size.
        chances = np.full(len(members), 1 / len(members))
        found[:, members] = rng.multinomial(drawn * len(members), chances)
    return found


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

    The hypothesis is that the difference of each skeleton is equally likely to have either sign.
    `differences` [skeletons] are the sums of each skeleton's paired differences. The signs of
    whole skeletons are flipped at random. The observed signs count as one of the permutations, so p
    is at least 1 / (permutations + 1); with s skeletons it hardly falls below 2 / 2^s.
    """
    moved = differences[differences != 0]
    if moved.size == 0:
        return 1.0
    rng = np.random.default_rng([seed, moved.size])
    signs = rng.integers(0, 2, size=(permutations, moved.size), dtype=np.int8) * 2 - 1
    # An equal sum counts as extreme, even if rounding changed its last bits.
    reached = np.abs(signs @ moved) >= abs(moved.sum()) * (1 - 1e-12)
    return float((1 + reached.sum()) / (permutations + 1))
