"""Correction of p values for the number of comparisons (Holm, 1979)."""

from collections.abc import Sequence

import numpy as np


def holm(values: Sequence[float]) -> np.ndarray:
    """Corrected p values [n]; each below a level keeps the chance of any false one below it.

    The smallest p is multiplied by n, the next by n - 1 and so on; none is less than the one
    before it or more than 1. NaN is no comparison: it stays NaN and is not counted.
    """
    found = np.array(values, float)
    places = np.flatnonzero(np.isfinite(found))
    order = places[np.argsort(found[places], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    found[order] = np.minimum(1, np.maximum.accumulate(found[order] * factors))
    return found
