"""Sizes with which a forecaster has as many parameters as a strategy."""

from collections.abc import Callable

from ..errors import UserError
from .config import EntryConfig, ModelConfig
from .forecaster import Task, build, parameters

MOST = 2**16  # feed-forward units that are tried


def matched_sizes(
    name: str, kind: str, entry: EntryConfig, other: EntryConfig, task: Task, config: ModelConfig
) -> ModelConfig:
    """`config` with the width and the feed-forward width that bring parameters closest.

    The width is the largest, in steps of `heads`, that does not exceed the parameters of `other`
    with the feed-forward width grown in proportion. The feed-forward width then takes the rest.

    Args:
        name: the forecaster, for errors.
        kind: "strategy" or "baseline".
        entry: its entry.
        other: the entry of the strategy that it is matched to, which has the sizes of `config`.
        task: what both are given.
        config: sizes of the model.

    Raises:
        UserError: its parameters do not depend on the sizes, or are more with the smallest ones.
    """
    wanted = parameters(build(entry.match or "", other, "strategy", task, config))

    def sizes(steps: int, ffn: int | None = None) -> ModelConfig:
        width = steps * config.heads
        grown = max(1, round(config.ffn * width / config.width))
        return config.model_copy(update={"width": width, "ffn": ffn or grown})

    def count(sized: ModelConfig) -> int:
        return parameters(build(name, entry, kind, task, sized))

    smallest = count(sizes(1, 1))
    if smallest == count(sizes(2 * config.width // config.heads)):
        raise UserError(
            f"{kind} {name!r}: found match {entry.match!r}, expected none, because its parameters"
            " do not depend on the sizes of the model"
        )
    if smallest > wanted:
        raise UserError(
            f"{kind} {name!r}: has {smallest:,} parameters with the smallest sizes, expected at"
            f" most the {wanted:,} of {entry.match!r}"
        )
    steps = _largest(lambda steps: count(sizes(steps)) <= wanted)
    ffn = _largest(lambda ffn: count(sizes(steps, ffn)) <= wanted)
    if ffn >= MOST:
        return sizes(steps)  # the feed-forward width changes nothing
    return min((sizes(steps, ffn), sizes(steps, ffn + 1)), key=lambda s: abs(count(s) - wanted))


def _largest(fits: Callable[[int], bool]) -> int:
    """The largest number from 1 on that fits, where all above the first that does not do not."""
    high = 2
    while high < MOST and fits(high):
        high *= 2
    if high >= MOST:
        return MOST
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
