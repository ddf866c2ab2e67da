"""The configuration of the benchmark and of the training corpus."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from ..options import Commit, InputPath, Options
from .sample import LANGUAGES, Language, Split

Tokens = Annotated[int, Field(ge=1)]
# The layouts of files with conversations and questions; `importers.LAYOUTS` reads them.
Layout = Literal["jsonl", "locomo", "babi", "longmemeval", "published", "parquet"]


class ConversationFiles(Options):
    """Conversations with questions, own or public ones, and which of them are taken."""

    source: Layout = Field(
        description="The layout of the files: `jsonl` is our own, the others are public ones."
    )
    files: tuple[InputPath, ...] = Field((), description="The paths of the files.")
    granularity: Literal["evidence_session", "before_evidence", "everything"] = Field(
        "evidence_session",
        description="Sources `locomo` and `longmemeval`: which sessions a question is asked about."
        " These are the ones that hold its evidence; all from the beginning to the last of these;"
        " or all of the conversation.",
    )
    verbatim: bool = Field(
        False,
        description="Whether only questions are kept whose answer stands in the sessions: in the"
        " one turn that is named as evidence or, where none is named, only once.",
    )
    characters: int | None = Field(
        None,
        ge=1,
        description="The largest length of a sample's sessions, in characters; longer samples are"
        " left out, such as those that do not fit the base model's positions. Null for no limit.",
    )
    at_most: int | None = Field(
        None,
        ge=1,
        description="The largest number of samples, drawn at random from all of the files, always"
        " the same ones; null takes all. A sample is sessions with the questions about them.",
    )

    def reading(self) -> dict[str, Any]:
        """The arguments of `importers.read_conversations`."""
        names = ("files", "granularity", "verbatim", "characters", "at_most")
        return {"layout": self.source, **{name: getattr(self, name) for name in names}}


class BenchmarkConfig(ConversationFiles):
    """The benchmark: generated, or from files. The same configuration gives the same samples."""

    source: Literal["generator", *get_args(Layout)] = Field(
        "generator",
        description="Where the samples come from: `generator` makes them. The others are layouts"
        " of files with conversations and questions: `jsonl` is our own, `published` the published"
        " benchmark's, `parquet` what this workflow writes.",
    )
    seed: int = Field(0, ge=0, description="The seed of the generator.")
    languages: tuple[Language, ...] = Field(
        LANGUAGES,
        min_length=1,
        description="The languages of the dialogues. Samples alternate between them.",
    )
    levels: tuple[Literal[1, 2, 3, 4, 5, 6], ...] = Field(
        (1, 2, 3, 4, 5, 6),
        min_length=1,
        description="The levels to generate. Level 1 asks for one fact. Level 2 asks questions that"
        " need two facts. Level 3 is level 1 with a distractor after the dialogue. At level 4 a"
        " value is changed later. At level 5 two speakers, or two dialogues, have facts of the same"
        " kind. At level 6 nothing answers the questions.",
    )
    samples_per_level: int = Field(
        100,
        ge=1,
        description="The number of samples of each level, all languages and splits together.",
    )
    splits: dict[Split, Annotated[float, Field(gt=0)]] = Field(
        {"new_values": 0.25, "new_wording": 0.15, "new_skeletons": 0.15, "all_new": 0.45},
        min_length=1,
        description="The share of samples in each split, relative to the sum of all shares. In"
        " `new_values` every value is new, in `new_wording` the wording of the questions, in"
        " `new_skeletons` dialogue and questions, in `all_new` all of these, in `train` nothing;"
        " new means that training never shows it.",
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
        _files_named("benchmark", self.source, self.files)
        _ordered("distractor_tokens", self.distractor_tokens)
        return self


class TrainingConversations(ConversationFiles):
    """Conversations with questions to train on, beside generated dialogues or alone."""

    share: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="Their share of all training dialogues, where there are generated ones too."
        " They are repeated until they have this share, and each stands there at least once.",
    )

    @model_validator(mode="after")
    def _check(self) -> "TrainingConversations":
        _files_named("conversations", self.source, self.files)
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
        description="The number of generated dialogues, all languages together. It may be 0 if you"
        " train on `conversations`, or on texts of your own and every run has objective `lm`.",
    )
    conversations: TrainingConversations | None = Field(
        None,
        description="Conversations with questions, own or public ones, that models train on as on"
        " generated dialogues; null for none.",
    )
    synthetic_share: float = Field(
        0.7,
        ge=0,
        le=1,
        description="The share of dialogues that are composed fact by fact. The others fill a"
        " hand-written skeleton.",
    )
    unanswered_share: float = Field(
        0.35,
        ge=0,
        le=1,
        description="The share of dialogues that are also asked one or two questions that nothing"
        " in them answers. Most sound like one that is answered.",
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
        if self.source == "generator" and not (self.dialogues or self.conversations):
            raise ValueError("found dialogues 0, expected at least 1 with source 'generator'")
        _distinct("languages", self.languages)
        return self


def _files_named(key: str, source: str, files: tuple[str, ...]) -> None:
    if source == "generator" and files:
        raise ValueError(f"{key}: files are named, expected another source than 'generator'")
    if source != "generator" and not files:
        raise ValueError(f"{key}: source {source!r} needs files, one at least")


def _distinct(key: str, values: tuple) -> None:
    if len(set(values)) < len(values):
        raise ValueError(f"{key}: found {list(values)}, expected each only once")


def _ordered(key: str, limits: tuple[int, int]) -> None:
    if limits[0] > limits[1]:
        raise ValueError(f"{key}: found {list(limits)}, expected the shorter first")
