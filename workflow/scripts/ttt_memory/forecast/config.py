"""Configuration of the forecast study: strategies, model, training, comparison."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from .. import options
from ..errors import UserError
from ..options import InputPath, Options
from .series.config import Dataset, SineDataset

T = TypeVar("T")
# A name becomes the name of a folder and the value of a wildcard.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class EntryConfig(Options):
    """One strategy or baseline: its file, values for the file's OPTIONS, its size and training."""

    file: InputPath = Field(
        description="This is the name of a built-in strategy or baseline, or the path of a .py "
        "file."
    )
    options: dict[str, Any] = Field(
        {}, description="These values replace those of the same keys in the file's OPTIONS."
    )
    match: Name | None = Field(
        None,
        description="The model's `width` and `ffn` are chosen for this forecaster alone, so that "
        "it has as many parameters as the strategy of this name.",
    )
    datasets: tuple[Name, ...] = Field(
        (), description="It is run on the datasets of these names alone; without names, on all."
    )
    epochs_factor: int = Field(
        1, ge=1, description="It is trained for this many times the epochs of the dataset."
    )


def _entries(entries: Any) -> Any:
    """`{name: file}` written out as `{name: {file: file}}`; entries that are null are dropped."""
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
    """Sizes of the memory, what it associates, and the bound on its updates."""

    hidden: int = Field(
        32, ge=1, description="The hidden layers of the memory network have this many units."
    )
    depth: int = Field(2, ge=1, description="The memory network has this many linear maps.")
    association: Literal["next", "same"] = Field(
        "next",
        description="Under the key of a token, the value of the next token is stored, or the "
        "value of the same token.",
    )
    inner_clip: float = Field(
        1.0,
        ge=0,
        description="The gradient by which one chunk updates the memory of one series has at "
        "most this norm; 0 turns clipping off.",
    )


class ModelConfig(Options):
    """Sizes of the MAC Titan; baselines use them too."""

    width: int = Field(16, ge=1, description="A token has this many entries.")
    heads: int = Field(
        2, ge=1, description="Attention has this many heads; the number divides `width`."
    )
    layers: int = Field(2, ge=1, description="The model has this many layers.")
    ffn: int = Field(
        64, ge=1, description="The feed-forward part of a layer has this many hidden units."
    )
    persistent: int = Field(
        4,
        ge=0,
        description="A layer has this many persistent tokens, which are learned and the same for "
        "all series.",
    )
    from_last: bool = Field(
        True,
        description="If true, and if the target is an input, the model forecasts the change from "
        "the last value of the target.",
    )
    memory: MemoryConfig = Field(
        MemoryConfig(),
        description="These keys set the memory that is written while a series is processed.",
    )

    @model_validator(mode="after")
    def _heads_fit(self) -> "ModelConfig":
        if self.width % self.heads:
            raise ValueError(f"heads is {self.heads}, expected a divisor of width {self.width}")
        return self


class TrainingConfig(Options):
    """Adam with warm-up and cosine decay; the epoch with the best validation MSE forecasts."""

    batch: int = Field(4, ge=1, description="A training step is on this many series.")
    learning_rate: float = Field(
        0.003, gt=0, description="Adam's learning rate peaks at this value."
    )
    warmup: int = Field(
        50, ge=0, description="The learning rate rises linearly for this many steps."
    )
    final_fraction: float = Field(
        0.02,
        ge=0,
        le=1,
        description="The learning rate falls to this fraction of `learning_rate` at the last step.",
    )
    clip: float = Field(
        1.0, ge=0, description="The gradient of a step has at most this norm; 0 turns clipping off."
    )
    evaluation_batch: int = Field(
        35,
        ge=1,
        description="This many series are forecast at once in validation and test; under the "
        "strict protocol that changes no forecast.",
    )


class SearchConfig(Options):
    """A search for the learning rate of each forecaster, on the validation part."""

    learning_rates: tuple[float, ...] = Field(
        (),
        description="The first seed is trained with each of these, and all seeds with the one that "
        "has the smallest validation MSE; without any, `training.learning_rate` is used.",
    )

    @model_validator(mode="after")
    def _positive(self) -> "SearchConfig":
        rates = list(self.learning_rates)
        if min(rates, default=1) <= 0 or len(set(rates)) < len(rates):
            raise ValueError(f"found learning_rates {rates}, expected distinct ones above 0")
        return self


class ComparisonConfig(Options):
    """What strategies are compared with, and the resampling of the leaderboard."""

    without_memory: str = Field(
        "no_memory",
        description="Memory gains are measured against the strategy of this name.",
    )
    compared_with: str = Field(
        "titans_default",
        description="Every other forecaster is compared with the strategy of this name, series by "
        "series.",
    )
    rivals: tuple[str, ...] = Field(
        ("no_memory", "lstm"),
        description="Every other strategy is compared with each strategy or baseline of these "
        "names; p values are corrected for all of these comparisons of a dataset at a horizon "
        "(Holm).",
    )
    floor_of_window: str = Field(
        "floor_of_window",
        description="The baseline of this name is the best forecast that the window alone allows.",
    )
    floor_of_past: str = Field(
        "floor_of_past",
        description="The baseline of this name is the best forecast that the whole past allows.",
    )
    flat_tolerance: float = Field(
        0.01,
        ge=0,
        description="A training is called not flat if the best validation MSE falls by more than "
        "this share in the last fifth of its epochs.",
    )
    bootstrap: int = Field(
        2000, ge=100, description="An interval is made from this many bootstrap draws."
    )
    permutations: int = Field(
        9999, ge=99, description="A paired test makes this many random sign flips."
    )
    seed: int = Field(
        0, ge=0, description="This is the random seed of the bootstrap and of the sign flips."
    )


class ForecastConfig(Options):
    """The forecast study: every strategy and baseline on every dataset, with every seed."""

    datasets: Datasets = Field(
        {"sinwave": SineDataset()},
        description="These are the datasets by name; null in place of a dataset drops it.",
    )
    strategies: Entries = Field(
        {name: EntryConfig(file=name) for name in ("no_memory", "titans_default", "mesa")},
        description="These are the memory strategies by name. Each is the name of a built-in "
        "strategy, the path of a .py file, or {file, options}; null in place of one drops it.",
    )
    baselines: Entries = Field(
        {name: EntryConfig(file=name) for name in ("last_value", "ar_ridge", "online_rls", "lstm")},
        description="These are the baselines by name, written in the same way as strategies.",
    )
    seeds: tuple[int, ...] = Field(
        (0, 1, 2),
        min_length=1,
        description="Every forecaster is trained once with each of these random seeds.",
    )
    device: Device = Field("cpu", description="Forecasters are trained on this device.")
    model: ModelConfig = Field(
        ModelConfig(), description="These keys set the sizes of the MAC Titan."
    )
    training: TrainingConfig = Field(
        TrainingConfig(), description="These keys set the optimiser and the batch sizes."
    )
    search: SearchConfig = Field(
        SearchConfig(), description="These keys choose the learning rate of each forecaster."
    )
    comparison: ComparisonConfig = Field(
        ComparisonConfig(), description="These keys set how the leaderboard compares forecasters."
    )

    @model_validator(mode="after")
    def _names_agree(self) -> "ForecastConfig":
        both = set(self.strategies) & set(self.baselines)
        if both:
            raise ValueError(
                f"{min(both)!r} is both a strategy and a baseline; expected distinct names"
            )
        for kind in ("strategies", "baselines"):
            for name, entry in getattr(self, kind).items():
                if problem := self._match_problem(name, entry):
                    raise ValueError(f"{kind}.{name}.match: {problem}")
                for dataset in entry.datasets:
                    if dataset not in self.datasets:
                        raise ValueError(
                            f"{kind}.{name}.datasets: found {dataset!r}, expected names of"
                            f" {sorted(self.datasets)}"
                        )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)} repeat; expected distinct seeds")
        for name, dataset in self.datasets.items():
            if problem := dataset.problem():
                raise ValueError(f"datasets.{name}: {problem}")
        return self

    def of_dataset(self, name: str) -> list[str]:
        """The strategies and baselines that are run on a dataset."""
        entries = {**self.strategies, **self.baselines}.items()
        return [key for key, entry in entries if not entry.datasets or name in entry.datasets]

    def _match_problem(self, name: str, entry: EntryConfig) -> str | None:
        """What is wrong with the strategy that an entry is matched to; None if nothing is."""
        if entry.match is None:
            return None
        known = [key for key, other in self.strategies.items() if not other.match and key != name]
        if entry.match in known:
            return None
        return f"found {entry.match!r}, expected one of the strategies without match: {known}"


def part(config: Mapping[str, Any], key: str, kind: type[T], default: Any = None) -> T:
    """The value of `forecast.KEY` in a configuration as a `kind`; `default` if it is absent.

    Raises:
        UserError: a key is unknown or its value is wrong; names the key.
    """
    forecast = config.get("forecast") or {}
    return options.validate(kind, forecast.get(key, default or {}), f"forecast.{key}")


def entry_of(config: Mapping[str, Any], name: str) -> tuple[str, EntryConfig]:
    """The kind ("strategy" or "baseline") and the entry of `name` in a configuration.

    Raises:
        UserError: there is no such entry, or a key of it is wrong.
    """
    for kind, key in (("strategy", "strategies"), ("baseline", "baselines")):
        entries = part(config, key, Entries)
        if name in entries:
            return kind, entries[name]
    raise UserError(
        f"found {name!r}, expected a name under forecast.strategies or forecast.baselines"
    )
