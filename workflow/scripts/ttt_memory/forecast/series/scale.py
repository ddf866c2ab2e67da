"""What a standardised value of the target is in the target's own unit."""

from typing import NamedTuple


class Scale(NamedTuple):
    """A value in the target's own unit is `mean` + `unit` times the standardised value."""

    mean: float = 0.0
    unit: float = 1.0
