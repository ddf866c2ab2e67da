"""The verdict on a memory efficiency. The configuration fixes its bars before any run."""

import math

from .config import ScoringConfig

VIABLE, PARTIAL, NOT_VIABLE, UNDEFINED = "viable", "partial", "not viable", "undefined"


def verdict(efficiency: float, config: ScoringConfig) -> str:
    """Return "viable" above the bar `viable`, "not viable" below `partial`, else "partial".

    It is "undefined" where there is no ratio (NaN), since condition A answers nothing right.
    """
    if math.isnan(efficiency):
        return UNDEFINED
    if efficiency > config.viable:
        return VIABLE
    return PARTIAL if efficiency >= config.partial else NOT_VIABLE
