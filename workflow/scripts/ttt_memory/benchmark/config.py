"""The configuration of the benchmark and of the training corpus."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..options import Commit, Options

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
    """The text that models train on: dialogues with their probes, and passages without facts.

    The user's own texts take the place of the passages, and an lm objective trains on them.
    """

    source: Literal["generator", "files", "hub"] = Field(
        "generator",
        description="Where the texts without probes come from: made here, or your own. Your own"
        " are what objective lm trains on, and distractor text for the others.",
    )
    files: tuple[str, ...] = Field(
        (),
        description="JSONL or Parquet files (source: files), relative to the repository; each row"
        ' has messages ([{"role": ..., "content": ...}, ...]) or text.',
    )
    hub_id: str | None = Field(None, description="Data set on the hub (source: hub).")
    revision: Commit | None = Field(None, description="Commit hash of the data set (source: hub).")
    hub_files: tuple[str, ...] = Field(
        ("*.jsonl", "*.parquet"),
        min_length=1,
        description="Which of the data set's files, by path, with * for any characters.",
    )
    passage_characters: int = Field(
        2_000, ge=10, description="Own texts that are longer are cut, between lines if they can be."
    )
    seed: int = Field(0, ge=0, description="Seed of the generator.")
    languages: tuple[Language, ...] = Field(
        LANGUAGES, min_length=1, description="Languages; dialogues alternate between them."
    )
    dialogues: int = Field(
        20_000,
        ge=0,
        description="Generated dialogues, all languages together: the only source of probes. 0 only"
        " with texts of your own, where every run has objective lm.",
    )
    synthetic_share: float = Field(
        0.7, ge=0, le=1, description="Share of dialogues that follow no hand-written skeleton."
    )
    passages: int = Field(
        2_000,
        ge=1,
        description="Paragraphs of generated distractor text (training part), all languages.",
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
