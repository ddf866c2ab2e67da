"""The configuration of the benchmark and of the training corpus."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..options import Commit, InputPath, Options
from .sample import LANGUAGES, Language, Split

Tokens = Annotated[int, Field(ge=1)]


class BenchmarkConfig(Options):
    """The generated benchmark. The same configuration gives the same samples."""

    seed: int = Field(0, ge=0, description="The seed of the generator.")
    languages: tuple[Language, ...] = Field(
        LANGUAGES,
        min_length=1,
        description="The languages of the dialogues. Samples alternate between them.",
    )
    levels: tuple[Literal[1, 2, 3], ...] = Field(
        (1, 2, 3),
        min_length=1,
        description="The levels to generate. Level 1 asks for one fact. Level 2 asks questions that"
        " need two facts. Level 3 is level 1 with a distractor after the dialogue.",
    )
    samples_per_level: int = Field(
        100,
        ge=1,
        description="The number of samples of each level, all languages and splits together.",
    )
    splits: dict[Split, Annotated[float, Field(gt=0)]] = Field(
        {"train": 0.1, "heldout_values": 0.5, "heldout_skeletons": 0.1, "heldout_both": 0.3},
        min_length=1,
        description="The share of samples in each split, relative to the sum of all shares. In"
        " `heldout_values` every value is new, in `heldout_skeletons` the wording is new, in"
        " `heldout_both` both are; new means that training never shows it.",
    )
    distractor_tokens: tuple[Tokens, Tokens] = Field(
        (2000, 4000),
        description="The shortest and the longest distractor of level 3, in proxy tokens: a Chinese"
        " character, a word, a number or a punctuation mark is one.",
    )

    @model_validator(mode="after")
    def _check(self) -> "BenchmarkConfig":
        _distinct("languages", self.languages)
        _distinct("levels", self.levels)
        _ordered("distractor_tokens", self.distractor_tokens)
        return self


class CorpusConfig(Options):
    """The text that models train on: dialogues with probes, and passages without facts.

    Texts of the user replace the passages. Then the objective `lm` trains on them.
    """

    source: Literal["generator", "files", "hub"] = Field(
        "generator",
        description="Where the passages come from: `generator` makes them, `files` and `hub` read"
        " texts of your own. With texts of your own, objective `lm` trains on them, and other"
        " objectives use them as distractors.",
    )
    files: tuple[InputPath, ...] = Field(
        (),
        description="For source `files`: paths of JSONL or Parquet files."
        ' Each row has `messages` ([{"role": ..., "content": ...}, ...]) or `text`.',
    )
    hub_id: str | None = Field(
        None, description="For source `hub`: the name of the data set, such as owner/name."
    )
    revision: Commit | None = Field(
        None, description="For source `hub`: the commit hash of the data set."
    )
    hub_files: tuple[str, ...] = Field(
        ("*.jsonl", "*.parquet"),
        min_length=1,
        description="For source `hub`: the files of the data set to read, as patterns of their"
        " paths. A star stands for any characters.",
    )
    passage_characters: int = Field(
        2_000,
        ge=10,
        description="The greatest length of a passage from texts of your own, in characters. Longer"
        " texts are cut, between lines where possible.",
    )
    seed: int = Field(0, ge=0, description="The seed of the generator.")
    languages: tuple[Language, ...] = Field(
        LANGUAGES,
        min_length=1,
        description="The languages of dialogues and passages. They alternate.",
    )
    dialogues: int = Field(
        20_000,
        ge=0,
        description="The number of generated dialogues, all languages together. Only they have"
        " probes. It may be 0 if you train on texts of your own and every run has objective `lm`.",
    )
    synthetic_share: float = Field(
        0.7,
        ge=0,
        le=1,
        description="The share of dialogues that are composed fact by fact. The others fill a"
        " hand-written skeleton.",
    )
    passages: int = Field(
        2_000,
        ge=1,
        description="For source `generator`: the number of passages, all languages together. Each"
        " is a paragraph of distractor text from the training split.",
    )

    @model_validator(mode="after")
    def _check(self) -> "CorpusConfig":
        if self.source == "hub" and not (self.hub_id and self.revision):
            raise ValueError("source 'hub' needs hub_id and revision (a commit hash)")
        if self.source == "files" and not self.files:
            raise ValueError("source 'files' needs files, one at least")
        if self.source != "files" and self.files:
            raise ValueError(f"files are named, expected source 'files', found {self.source!r}")
        if self.source == "generator" and not self.dialogues:
            raise ValueError("found dialogues 0, expected at least 1 with source 'generator'")
        _distinct("languages", self.languages)
        return self


def _distinct(key: str, values: tuple) -> None:
    if len(set(values)) < len(values):
        raise ValueError(f"{key}: found {list(values)}, expected each only once")


def _ordered(key: str, limits: tuple[int, int]) -> None:
    if limits[0] > limits[1]:
        raise ValueError(f"{key}: found {list(limits)}, expected the shorter first")
