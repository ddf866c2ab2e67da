"""Configuration of the datasets: generated sine waves, arrays or a table."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ...options import InputPath, Options


class _Dataset(Options):
    context_window: int = Field(
        16,
        ge=2,
        description="A forecast sees this many samples directly, and older ones only through the "
        "memory.",
    )
    epochs: int = Field(
        20, ge=1, description="Training makes this many passes over the training series."
    )


class SineDataset(_Dataset):
    """Noisy sine waves, made as published: each series has a frequency of its own."""

    source: Literal["sine"] = Field("sine", description="The series are generated sine waves.")
    series: int = Field(
        700,
        ge=10,
        description="This many series are generated, all splits together; the frequencies are "
        "spread evenly over them.",
    )
    length: int = Field(500, ge=3, description="A series has this many samples.")
    fractions: tuple[float, float, float] = Field(
        (0.8, 0.1, 0.1),
        description="These fractions of the series are for training, validation and test; they sum "
        "to 1.",
    )
    seed: int = Field(
        0, ge=0, description="This random seed decides the phases, the noise and the split."
    )

    @field_validator("fractions")
    @classmethod
    def _whole(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        return _fractions(fractions)


class _Windowed(_Dataset):
    length: int = Field(500, ge=3, description="A window has this many samples.")
    stride: int = Field(
        50, ge=1, description="Training windows start this many samples after each other."
    )
    test_stride: int | None = Field(
        None,
        ge=1,
        description="Validation and test windows start this many samples after each other; with "
        "null, so many that no sample is forecast twice.",
    )
    observe_target: bool = Field(
        True,
        description="If true, the past of the target is an input besides the features; otherwise "
        "the features are the only input.",
    )


class ArrayDataset(_Windowed):
    """Arrays in .npy files: [series, samples, channels], or one record [samples, channels]."""

    source: Literal["arrays"] = Field(description="The series are read from NumPy files.")
    train: InputPath = Field(description="This .npy file holds the training array.")
    test: InputPath = Field(description="This .npy file holds the test array.")
    valid: InputPath | None = Field(
        None,
        description="This .npy file holds the validation array; with null, the end of the training "
        "array is used for validation.",
    )
    valid_fraction: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="If `valid` is null, this fraction of the training array becomes the "
        "validation array.",
    )
    target: int = Field(
        -1, description="The channel with this index is forecast; -1 is the last channel."
    )
    standardise: bool = Field(
        False,
        description="If true, each channel is standardised by its mean and standard deviation in "
        "the training array.",
    )


class TableDataset(_Windowed):
    """A CSV or Parquet file with one row per time, or per time and group."""

    source: Literal["table"] = Field(description="The series are read from a CSV or Parquet table.")
    path: InputPath = Field(
        description="The table is in this file; package:DISTRIBUTION/FILE is a file of an "
        "installed Python package."
    )
    time: str = Field(
        description="This column holds the times; within a group they ascend and none repeats."
    )
    target: str = Field(description="This column is forecast.")
    features: tuple[str, ...] = Field(
        (), description="These columns are inputs besides the target."
    )
    group: str | None = Field(
        None,
        description="The values of this column tell several series apart; null is for a table of "
        "one series.",
    )
    since: str | None = Field(
        None,
        description="Rows before this time, such as 2018-01-01, are left out; null keeps all rows.",
    )
    step: str | None = Field(
        None,
        description="Times follow each other by this step, such as 1h or 10min, and a time without "
        "a row becomes a row of missing cells; null takes the rows as they are.",
    )
    missing: Literal["error", "drop", "carry"] = Field(
        "error",
        description="A missing cell is an error, drops its row, or takes the last value before it; "
        "a missing target is never scored.",
    )
    gaps: Literal["split", "join"] = Field(
        "split",
        description="Where rows are missing or dropped, the record is split, so that no window "
        "spans the gap, or the rows are joined as if they followed each other.",
    )
    duplicates: Literal["error", "drop"] = Field(
        "error", description="A row that equals an earlier row is an error, or is dropped."
    )
    fractions: tuple[float, float, float] = Field(
        (0.8, 0.1, 0.1),
        description="These fractions of the distinct times are for training, validation and test, "
        "in this order; they sum to 1.",
    )

    @field_validator("fractions")
    @classmethod
    def _whole(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        return _fractions(fractions)

    @model_validator(mode="after")
    def _columns_differ(self) -> "TableDataset":
        columns = [self.time, self.target, *self.features, *([self.group] if self.group else [])]
        twice = {column for column in columns if columns.count(column) > 1}
        if twice:
            raise ValueError(f"column {min(twice)!r} is named twice; expected distinct columns")
        if not self.observe_target and not self.features:
            raise ValueError(
                "observe_target is false and features is empty; expected at least one feature"
            )
        return self


Dataset = Annotated[SineDataset | ArrayDataset | TableDataset, Field(discriminator="source")]


def _fractions(fractions: tuple[float, ...]) -> tuple[float, ...]:
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"found fractions {list(fractions)}, expected three above 0 that sum to 1")
    return fractions
