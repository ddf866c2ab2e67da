"""The configuration of the benchmark and of the training corpus."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..options import Options

Language = Literal["zh", "en"]
Split = Literal["train", "heldout_values", "heldout_skeletons", "heldout_both"]
Tokens = Annotated[int, Field(ge=1)]
LANGUAGES: tuple[Language, ...] = ("zh", "en")


class BenchmarkConfig(Options):
    """What is asked: the same configuration gives the same samples."""

    seed: int = Field(0, ge=0, description="Seed of the generator.")
    languages: tuple[Language, ...] = Field(
        LANGUAGES, min_length=1, description="Languages; samples alternate between them."
    )
    levels: tuple[Literal[1, 2, 3], ...] = Field(
        (1, 2, 3),
        min_length=1,
        description="1 direct recall, 2 two facts composed, 3 a distractor after the dialogue.",
    )
    samples_per_level: int = Field(
        100, ge=1, description="Samples of each level, all languages and splits together."
    )
    splits: dict[Split, Annotated[float, Field(gt=0)]] = Field(
        {"train": 0.1, "heldout_values": 0.5, "heldout_skeletons": 0.1, "heldout_both": 0.3},
        min_length=1,
        description="Relative share of samples in each split.",
    )
    distractor_tokens: tuple[Tokens, Tokens] = Field(
        (2000, 4000), description="Shortest and longest distractor of level 3, in proxy tokens."
    )

    @model_validator(mode="after")
    def _check(self) -> "BenchmarkConfig":
        _distinct("languages", self.languages)
        _distinct("levels", self.levels)
        _ordered("distractor_tokens", self.distractor_tokens)
        return self


class CorpusConfig(Options):
    """The text that models train on: dialogues with their probes, and passages without facts."""

    seed: int = Field(0, ge=0, description="Seed of the generator.")
    languages: tuple[Language, ...] = Field(
        LANGUAGES, min_length=1, description="Languages; dialogues alternate between them."
    )
    dialogues: int = Field(20_000, ge=1, description="Dialogues, all languages together.")
    synthetic_share: float = Field(
        0.7, ge=0, le=1, description="Share of dialogues that follow no hand-written skeleton."
    )
    passages: int = Field(
        2_000, ge=1, description="Paragraphs of distractor text (training part), all languages."
    )

    @model_validator(mode="after")
    def _check(self) -> "CorpusConfig":
        _distinct("languages", self.languages)
        return self


def _distinct(key: str, values: tuple) -> None:
    if len(set(values)) < len(values):
        raise ValueError(f"{key}: found {list(values)}, expected each only once")


def _ordered(key: str, limits: tuple[int, int]) -> None:
    if limits[0] > limits[1]:
        raise ValueError(f"{key}: found {list(limits)}, expected the shorter first")
