"""The best that a device can do, and the least time that this leaves."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Count:
    """What a function computes and moves."""

    flops: int
    bytes: int


@dataclass(frozen=True)
class Ceilings:
    """The best of one device, measured or from a data sheet: FLOP/s by dtype name, bytes/s."""

    matmul: dict[str, float]
    copy: float

    def bound(self, count: Count, dtype: str) -> float:
        """Seconds that `count` takes at least: the roofline."""
        return max(count.flops / self.matmul[dtype], count.bytes / self.copy)
