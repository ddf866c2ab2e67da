"""Configuration of the datasets that are read: arrays or a table."""

import datetime
import itertools
import zoneinfo
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from ...options import InputPath
from .generated_config import DatasetConfig, SineDataset, SwitchDataset, checked_fractions

# Values of `time_format` for times that are numbers: units since the beginning of 1970, UTC.
EPOCHS = ("s", "ms", "us", "ns")


def _moment(value: str) -> str:
    try:
        datetime.datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"found {value!r}, expected a time like 2018-01-01") from None
    return value


def _written_out(value: Any) -> Any:
    """A date that YAML has read as one, as it is written."""
    return value.isoformat() if isinstance(value, datetime.date) else value


# A time in the configuration, with quotes or without.
Moment = Annotated[
    str,
    BeforeValidator(_written_out, json_schema_input_type=str),
    AfterValidator(_moment),
]


class _Windowed(DatasetConfig):
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
    unit: str = Field(
        "", description="The unit of the target, such as °C, for the axes of figures."
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
    separator: str = Field(
        ",", min_length=1, max_length=1, description="This character separates the cells of a CSV."
    )
    decimal: Literal[".", ","] = Field(
        ".", description="This character of a CSV stands before the decimals of a number."
    )
    thousands: Literal[".", ",", " ", "'", "_"] | None = Field(
        None, description="This character of a CSV stands between the thousands of a number."
    )
    time_format: str | None = Field(
        None,
        description="How times are written, such as %d.%m.%Y %H:%M, or the unit of numbers that "
        "count from 1970: s, ms, us or ns; null is for ISO 8601, such as 2013-01-01 06:00.",
    )
    time_zone: str | None = Field(
        None,
        description="Times without an offset are local times of this zone, such as Europe/Berlin. "
        "The hour that is repeated in autumn is told apart by the order of its rows. Null is UTC.",
    )
    since: Moment | None = Field(
        None, description="Rows before this time, such as 2018-01-01, are left out."
    )
    until: Moment | None = Field(
        None, description="Rows from this time on, such as 2019-01-01, are left out."
    )
    scale: Literal["table", "group"] = Field(
        "table",
        description="Columns are standardised by mean and standard deviation of all training rows, "
        "or those of each group by its own training rows.",
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
        "in this order; they sum to 1. They are not used with `valid_from` and `test_from`.",
    )
    valid_from: Moment | None = Field(
        None,
        description="Training ends before this time, and validation begins; with null, `fractions` "
        "decides.",
    )
    test_from: Moment | None = Field(
        None,
        description="Validation ends before this time, and the test begins; with null, `fractions` "
        "decides.",
    )

    @field_validator("fractions")
    @classmethod
    def _whole(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        return checked_fractions(fractions)

    @field_validator("time_zone")
    @classmethod
    def _known(cls, zone: str | None) -> str | None:
        try:
            return zone and zoneinfo.ZoneInfo(zone).key
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"found {zone!r}, expected a zone like Europe/Berlin") from None

    @model_validator(mode="after")
    def _characters_differ(self) -> "TableDataset":
        names = ("separator", "decimal", "thousands")
        found = [(name, getattr(self, name)) for name in names if getattr(self, name)]
        for place, (name, character) in enumerate(found):
            for other, same in found[:place]:
                if same == character:
                    raise ValueError(
                        f"found {character!r} for both {other} and {name}; expected two characters"
                    )
        return self

    @model_validator(mode="after")
    def _dates_follow(self) -> "TableDataset":
        if (self.valid_from is None) != (self.test_from is None):
            raise ValueError("found one of valid_from and test_from, expected both or neither")
        names = ("since", "valid_from", "test_from", "until")
        dates = [(name, getattr(self, name)) for name in names if getattr(self, name)]
        for (before, early), (after, late) in itertools.pairwise(dates):
            # Offsets are left out: a time with one may stand beside a time without.
            first, second = (
                datetime.datetime.fromisoformat(date).replace(tzinfo=None) for date in (early, late)
            )
            if second <= first:
                raise ValueError(
                    f"found {before} {early} and {after} {late}, expected {after} to be later"
                )
        return self

    @model_validator(mode="after")
    def _groups_are_told(self) -> "TableDataset":
        if self.scale == "group" and self.group is None:
            raise ValueError("found scale group without group, expected the column of the groups")
        return self

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


Dataset = Annotated[
    SineDataset | SwitchDataset | ArrayDataset | TableDataset, Field(discriminator="source")
]
