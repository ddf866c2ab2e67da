"""A sample: a dialogue, the facts that it states, and the probes that ask for them."""

from dataclasses import asdict, dataclass
from typing import Literal, get_args

Language = Literal["zh", "en"]
Split = Literal["train", "heldout_values", "heldout_skeletons", "heldout_both"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
SPLITS: tuple[Split, ...] = get_args(Split)
CATEGORIES = ("person", "numeric", "temporal", "relational", "preference", "spatial")
TURN_SEPARATOR = {"zh": "：", "en": ": "}  # between the speaker's name and what is said
PAIR_JOINER = {"zh": "；", "en": "; "}  # between the two values of a `pair` answer


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact that the dialogue states. Its value is `dialogue[start:end]`.

    `start` and `end` are -1 if the place of the value is unknown.
    """

    fact_id: str
    text: str
    category: str
    slot: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Probe:
    """One question and its right answer, the gold.

    `kind` is the type of the answer. The guessing floor is computed for each kind. If the question
    requires one fact, `kind` is the type of its value. If it requires two, `kind` is one of:

    - `bridge:<type of the gold>`: the second fact is about the value of the first, which the
      question does not name. The gold is the value of the second.
    - `pair:values`: the question asks for both values. The gold joins them.
    """

    probe_id: str
    question: str
    gold: str
    kind: str
    required_facts: tuple[str, ...]
    grounding: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One dialogue with its facts and probes. Only level 3 has a distractor, others None."""

    sample_id: str
    level: int
    language: str
    split: str
    skeleton_id: str
    dialogue: str
    distractor: str | None
    facts: tuple[Fact, ...]
    probes: tuple[Probe, ...]

    def row(self) -> dict:
        """This sample as a row of `schemas.BENCHMARK`."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: dict) -> "Sample":
        """The sample that a row of `schemas.BENCHMARK` holds."""
        facts = tuple(Fact(**fact) for fact in row["facts"])
        probes = tuple(
            Probe(**{**probe, "required_facts": tuple(probe["required_facts"])})
            for probe in row["probes"]
        )
        return cls(**{**row, "facts": facts, "probes": probes})
