"""The verdict on a memory efficiency, by bars fixed in the config before any run."""

import math

from .config import ScoringConfig

VIABLE, PARTIAL, NOT_VIABLE, UNDEFINED = "viable", "partial", "not viable", "undefined"


def verdict(efficiency: float, config: ScoringConfig) -> str:
    """Above `viable`, between the bars (both included), below `partial`, or no ratio at all.

    The ratio is undefined (NaN) when condition A answers nothing right.
    """
    if math.isnan(efficiency):
        return UNDEFINED
    if efficiency > config.viable:
        return VIABLE
    return PARTIAL if efficiency >= config.partial else NOT_VIABLE
