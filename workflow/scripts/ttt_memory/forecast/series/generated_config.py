"""Configuration of what all datasets share, and of those that are generated."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from ...options import Options


class DatasetConfig(Options):
    context_window: int = Field(
        16,
        ge=2,
        description="A forecast sees this many samples directly, and older ones only through the "
        "memory.",
    )
    horizons: tuple[int, ...] = Field(
        (1,),
        min_length=1,
        description="The target is forecast this many samples ahead, at all of these horizons at "
        "once; ascending, from 1 to `length` minus `context_window`.",
    )
    scored_from: int | None = Field(
        None,
        ge=1,
        description="The first sample of a validation or test series that is scored, at every "
        "horizon; null is a fifth of `length`, or the first sample that has a forecast of a whole "
        "window at every horizon if that is later. It does not depend on smaller windows, so that "
        "forecasts with different windows are scored on the same samples.",
    )
    epochs: int = Field(
        20, ge=1, description="Training makes this many passes over the training series."
    )

    @property
    def first_scored(self) -> int:
        """The position of the first sample of a validation or test series that is scored."""
        return self.scored_from or max(self.length // 5, self.first_forecast)

    @property
    def first_forecast(self) -> int:
        """The first position that is forecast from a whole window at every horizon."""
        return self.context_window - 1 + self.horizons[-1]

    def problem(self) -> str | None:
        """What is wrong with window, horizons and `scored_from` together; None if nothing is."""
        window, horizons, length = self.context_window, self.horizons, self.length
        if window >= length:
            return f"found context_window {window}, expected less than length {length}"
        ascending = list(horizons) == sorted({*horizons})
        if not ascending or horizons[0] < 1 or horizons[-1] > length - window:
            return (
                f"found horizons {list(horizons)}, expected distinct whole numbers that ascend,"
                f" from 1 to {length - window}, length minus context_window"
            )
        if self.first_forecast <= self.first_scored < length:
            return None
        least = f"context_window {window}"
        if horizons != (1,):
            least += f" - 1 + the largest horizon = {self.first_forecast}"
        return (
            f"found scored_from {self.first_scored}, expected at least {least} and less than"
            f" length {length}"
        )


class _Generated(DatasetConfig):
    length: int = Field(500, ge=3, description="A series has this many samples.")
    fractions: tuple[float, float, float] = Field(
        (0.8, 0.1, 0.1),
        description="These fractions of the series are for training, validation and test; they sum "
        "to 1.",
    )

    @field_validator("fractions")
    @classmethod
    def _whole(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        return checked_fractions(fractions)


class SineDataset(_Generated):
    """Noisy sine waves, made as published: each series has a frequency of its own."""

    source: Literal["sine"] = Field("sine", description="The series are generated sine waves.")
    series: int = Field(
        700,
        ge=10,
        description="This many series are generated, all splits together; the frequencies are "
        "spread evenly over them.",
    )
    seed: int = Field(
        0, ge=0, description="This random seed decides the phases, the noise and the split."
    )


class SwitchDataset(_Generated):
    """Noisy waves whose frequency drifts and switches: a hidden Markov chain, whose floor is known.

    The phase of a wave takes `phases` values. A step moves it by the speed, a number from `slowest`
    to `fastest`. A regime is a speed that it begins with and a drift: up, none or down.
    """

    source: Literal["switch"] = Field(description="The series are waves that change frequency.")
    series: int = Field(
        400, ge=10, description="This many series are generated, all splits together."
    )
    phases: int = Field(
        96, ge=4, description="A wave of speed 1 has a period of this many samples."
    )
    slowest: int = Field(1, ge=1, description="This is the smallest speed, in phases a sample.")
    fastest: int = Field(12, ge=2, description="This is the largest speed, in phases a sample.")
    switch: float = Field(
        0.01, ge=0, le=1, description="With this probability a sample begins another regime."
    )
    drift: float = Field(
        0.02,
        ge=0,
        le=1,
        description="With this probability a sample of a regime with a drift changes the speed "
        "by 1.",
    )
    noise: float = Field(
        0.5, gt=0, description="Gaussian noise of this standard deviation is added to each sample."
    )
    seed: int = Field(
        0, ge=0, description="This random seed decides the waves, the noise and the split."
    )

    @model_validator(mode="after")
    def _speeds_fit(self) -> "SwitchDataset":
        if not self.slowest < self.fastest <= self.phases // 2:
            raise ValueError(
                f"found slowest {self.slowest} and fastest {self.fastest}, expected slowest below"
                f" fastest, and fastest at most half of phases {self.phases}"
            )
        return self


def checked_fractions(fractions: tuple[float, ...]) -> tuple[float, ...]:
    """The fractions themselves.

    Raises:
        ValueError: one is not above 0, or they do not sum to 1.
    """
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"found fractions {list(fractions)}, expected three above 0 that sum to 1")
    return fractions
