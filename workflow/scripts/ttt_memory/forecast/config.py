"""What the forecast study can be told: datasets, strategies, model, training, comparison."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from .. import options
from ..errors import UserError
from ..options import Options

T = TypeVar("T")
# A name becomes a folder and a wildcard.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class _Dataset(Options):
    context_window: int = Field(
        16, ge=2, description="Samples a forecast sees directly; older ones only through memory."
    )
    epochs: int = Field(20, ge=1, description="Training epochs.")


class SineDataset(_Dataset):
    """Noisy sine waves of different frequencies, one per series: the published recipe."""

    source: Literal["sine"] = Field("sine", description="Generated sine waves.")
    series: int = Field(700, ge=10, description="Series in all; frequencies are spread over them.")
    length: int = Field(500, ge=3, description="Samples of a series.")
    fractions: tuple[float, float, float] = Field(
        (0.8, 0.1, 0.1), description="Parts of the series for training, validation and test."
    )
    seed: int = Field(0, ge=0, description="Seed of phases, noise and split.")

    @field_validator("fractions")
    @classmethod
    def _whole(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        return _fractions(fractions)


class _Windowed(_Dataset):
    length: int = Field(500, ge=3, description="Samples of a window.")
    stride: int = Field(50, ge=1, description="Samples between the starts of training windows.")
    test_stride: int | None = Field(
        None,
        ge=1,
        description="The same for validation and test; null: every sample is forecast once.",
    )
    observe_target: bool = Field(
        True, description="Whether the model sees the target's past, or the features alone."
    )


class ArrayDataset(_Windowed):
    """Arrays in .npy files: [series, samples, channels], or [samples, channels] in time."""

    source: Literal["arrays"] = Field(description="NumPy files.")
    train: str = Field(description="Path of the training array.")
    test: str = Field(description="Path of the test array.")
    valid: str | None = Field(
        None, description="Path of the validation array; null takes it from the training array."
    )
    valid_fraction: float = Field(
        0.1, gt=0, lt=1, description="Last part of the training array taken when valid is null."
    )
    target: int = Field(-1, description="Channel to forecast; -1 is the last.")
    standardise: bool = Field(
        False, description="Whether to standardise by the training array; prepared ones are not."
    )


class TableDataset(_Windowed):
    """A CSV or Parquet file with one row per time (and group)."""

    source: Literal["table"] = Field(description="CSV or Parquet table.")
    path: str = Field(
        description="Path of the file, or package:DISTRIBUTION/FILE for installed package data."
    )
    time: str = Field(description="Column of times; must ascend without duplicates in a group.")
    target: str = Field(description="Column to forecast.")
    features: tuple[str, ...] = Field((), description="Columns given to the model beside it.")
    group: str | None = Field(None, description="Column that tells several series apart.")
    since: str | None = Field(None, description="Rows before this time are left out.")
    step: str | None = Field(
        None, description="Regular step, such as 1h: times without a row become missing rows."
    )
    missing: Literal["error", "drop", "carry"] = Field(
        "error",
        description="Missing cells: refuse; drop the row; carry the last value on (a missing "
        "target is then not scored).",
    )
    gaps: Literal["split", "join"] = Field(
        "split",
        description="Where rows are missing or dropped: no window spans it, or rows count as"
        " consecutive all the same.",
    )
    duplicates: Literal["error", "drop"] = Field(
        "error", description="Rows that repeat another one entirely: refuse, or keep the first."
    )
    fractions: tuple[float, float, float] = Field(
        (0.8, 0.1, 0.1), description="Parts in time for training, validation and test."
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
            raise ValueError("observe_target is false and features is empty: nothing to see")
        return self


Dataset = Annotated[SineDataset | ArrayDataset | TableDataset, Field(discriminator="source")]


class EntryConfig(Options):
    """One strategy or baseline: its file and what its OPTIONS are set to."""

    file: str = Field(description="Name of a built-in file, or path of your own .py file.")
    options: dict[str, Any] = Field({}, description="Values for keys of the file's OPTIONS.")


def _entries(entries: Any) -> Any:
    """`{name: file}` as `{name: {file: file}}`, without entries switched off with null."""
    entries = options.without_nulls(entries)
    if not isinstance(entries, Mapping):
        return entries
    return {
        name: {"file": entry} if isinstance(entry, str) else entry
        for name, entry in entries.items()
    }


Entries = Annotated[
    dict[Name, EntryConfig],
    BeforeValidator(_entries, json_schema_input_type=dict[Name, EntryConfig | str | None]),
]
Device = Literal["cpu", "cuda"]
Datasets = Annotated[
    dict[Name, Dataset],
    BeforeValidator(options.without_nulls, json_schema_input_type=dict[Name, Dataset | None]),
]


class MemoryConfig(Options):
    """Sizes of the long-term memory and how its update is kept in bounds."""

    hidden: int = Field(32, ge=1, description="Width of the memory network's hidden layers.")
    depth: int = Field(2, ge=1, description="Linear maps in the memory network.")
    association: Literal["next", "same"] = Field(
        "next",
        description="A key is stored with the value of the following token, or with its own.",
    )
    inner_clip: float = Field(
        1.0, ge=0, description="Largest norm of one surprise gradient, per series; 0 turns it off."
    )


class ModelConfig(Options):
    """The MAC Titan; the baselines take their sizes from it too."""

    width: int = Field(16, ge=1, description="Width of a token.")
    heads: int = Field(2, ge=1, description="Attention heads.")
    layers: int = Field(2, ge=1, description="Layers.")
    ffn: int = Field(64, ge=1, description="Hidden width of the feed-forward part.")
    persistent: int = Field(4, ge=0, description="Persistent memory tokens of a layer.")
    from_last: bool = Field(
        True, description="Forecast the change from the target's last value, where it is seen."
    )
    memory: MemoryConfig = Field(MemoryConfig(), description="The long-term memory.")

    @model_validator(mode="after")
    def _heads_fit(self) -> "ModelConfig":
        if self.width % self.heads:
            raise ValueError(f"heads is {self.heads}, expected a divisor of width {self.width}")
        return self


class TrainingConfig(Options):
    """Adam with warm-up and cosine decay; the epoch with the best validation MSE is kept."""

    batch: int = Field(4, ge=1, description="Series of a training step.")
    learning_rate: float = Field(0.003, gt=0, description="Adam's peak learning rate.")
    warmup: int = Field(50, ge=0, description="Steps of linear warm-up.")
    final_fraction: float = Field(
        0.02, ge=0, le=1, description="Last learning rate as a fraction of the peak."
    )
    clip: float = Field(1.0, ge=0, description="Largest gradient norm; 0 turns clipping off.")
    evaluation_batch: int = Field(
        35, ge=1, description="Series at once in validation and test; does not change a forecast."
    )


class ComparisonConfig(Options):
    """How the leaderboard compares."""

    without_memory: str = Field(
        "no_memory", description="Strategy that memory gains are measured against."
    )
    reference: str = Field(
        "titans_default", description="Strategy of the paired comparison over series."
    )
    bootstrap: int = Field(2000, ge=100, description="Bootstrap draws of an interval.")
    permutations: int = Field(9999, ge=99, description="Random sign flips of a paired test.")
    seed: int = Field(0, ge=0, description="Seed of both kinds of resampling.")


class ForecastConfig(Options):
    """The forecast study: every strategy and baseline on every dataset with every seed."""

    datasets: Datasets = Field(
        {"sinwave": SineDataset()}, description="Datasets by name; null drops one."
    )
    strategies: Entries = Field(
        {name: EntryConfig(file=name) for name in ("no_memory", "titans_default", "mesa")},
        description="Memory strategies by name: a built-in one, a file of yours, or "
        "{file, options}; null drops one.",
    )
    baselines: Entries = Field(
        {name: EntryConfig(file=name) for name in ("last_value", "ar_ridge", "online_rls", "lstm")},
        description="Baselines by name, written like strategies.",
    )
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, description="Training seeds.")
    device: Device = Field("cpu", description="Where forecasters train.")
    model: ModelConfig = Field(ModelConfig(), description="The MAC Titan.")
    training: TrainingConfig = Field(TrainingConfig(), description="Training.")
    comparison: ComparisonConfig = Field(ComparisonConfig(), description="Leaderboard.")

    @model_validator(mode="after")
    def _names_agree(self) -> "ForecastConfig":
        both = set(self.strategies) & set(self.baselines)
        if both:
            raise ValueError(f"{min(both)!r} is both a strategy and a baseline")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)} repeat; expected distinct seeds")
        for name, dataset in self.datasets.items():
            if dataset.context_window >= dataset.length:
                raise ValueError(
                    f"datasets.{name}: context_window {dataset.context_window}, expected less "
                    f"than length {dataset.length}"
                )
        return self


def part(config: Mapping[str, Any], key: str, kind: type[T], default: Any = None) -> T:
    """What stands under `forecast.KEY` of a configuration as a `kind`, or the default there.

    Raises:
        UserError: names the wrong key.
    """
    forecast = config.get("forecast") or {}
    return options.validate(kind, forecast.get(key, default or {}), f"forecast.{key}")


def entry_of(config: Mapping[str, Any], name: str) -> tuple[str, EntryConfig]:
    """The kind ("strategy" or "baseline") and the entry of `name` in a configuration.

    Raises:
        UserError: there is no such entry, or it is malformed.
    """
    for kind, key in (("strategy", "strategies"), ("baseline", "baselines")):
        entries = part(config, key, Entries)
        if name in entries:
            return kind, entries[name]
    raise UserError(f"{name!r} stands neither under forecast.strategies nor forecast.baselines")


def _fractions(fractions: tuple[float, ...]) -> tuple[float, ...]:
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions {list(fractions)}, expected three above 0 that sum to 1")
    return fractions
