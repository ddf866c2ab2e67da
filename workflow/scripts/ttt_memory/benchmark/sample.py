"""What the benchmark is made of: a sample holds a dialogue, its facts and its probes."""

from dataclasses import asdict, dataclass

LANGUAGES = ("zh", "en")
SPLITS = ("train", "heldout_values", "heldout_skeletons", "heldout_both")
CATEGORIES = ("person", "numeric", "temporal", "relational", "preference", "spatial")
TURN_SEPARATOR = {"zh": "：", "en": ": "}  # between a speaker's name and the utterance
PAIR_JOINER = {"zh": "；", "en": "; "}  # between the two values of a `pair` answer


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact stated in the dialogue; the value is `dialogue[start:end]`, or -1, -1 if unknown."""

    fact_id: str
    text: str
    category: str
    slot: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Probe:
    """One question; `kind` groups questions whose answers are of one type, for guessing floors.

    A question about one fact has its value's type as kind. Those of two facts are
    `bridge:<type of the gold>` (the first fact's value names the entity of the second, whose value
    is the gold) and `pair:values` (the gold joins both values).
    """

    probe_id: str
    question: str
    gold: str
    kind: str
    required_facts: tuple[str, ...]
    grounding: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One dialogue with what is asked about it; `distractor` is None below level 3."""

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
        """The inverse of `row`."""
        facts = tuple(Fact(**fact) for fact in row["facts"])
        probes = tuple(
            Probe(**{**probe, "required_facts": tuple(probe["required_facts"])})
            for probe in row["probes"]
        )
        return cls(**{**row, "facts": facts, "probes": probes})
