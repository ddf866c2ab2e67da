"""A sample: one or more sessions of a dialogue, the facts stated there, and probes about them."""

from dataclasses import asdict, dataclass
from typing import Literal, get_args

Language = Literal["zh", "en"]
Split = Literal["train", "new_values", "new_wording", "new_skeletons", "all_new"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
SPLITS: tuple[Split, ...] = get_args(Split)
# What of a split no training has shown: its values, the wording of its questions, its skeletons.
NEW_VALUES: tuple[Split, ...] = ("new_values", "all_new")
NEW_WORDING: tuple[Split, ...] = ("new_wording", "all_new")
NEW_SKELETONS: tuple[Split, ...] = ("new_skeletons", "all_new")
CATEGORIES = ("person", "numeric", "temporal", "relational", "preference", "spatial")
TURN_SEPARATOR = {"zh": "：", "en": ": "}  # between the speaker's name and what is said
PAIR_JOINER = {"zh": "；", "en": "; "}  # between the two values of a `pair` answer
REFUSALS = {"zh": "不知道。", "en": "I don't know."}  # the right answer if nothing was told
IMPORTED = "imported"  # the split of conversations from elsewhere; their skeleton ids begin so
SYNTHETIC = "synthetic"  # the skeleton id of dialogues that are composed fact by fact
UNANSWERABLE = "unanswerable"  # the kind of a probe that no fact answers


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact that a session states. Its value is `sessions[session][start:end]`.

    The slot `room*1` holds the value that replaces the one in slot `room`, `room*2` the next one.

    `start` and `end` are -1 if the place of the value is unknown.
    """

    fact_id: str
    text: str
    category: str
    slot: str
    value: str
    start: int
    end: int
    session: int = 0

    @property
    def matter(self) -> str:
        """The slot without a star: the same for a value and for those that replace it."""
        return self.slot.partition("*")[0]

    @property
    def replaces(self) -> bool:
        """Whether its value replaces one that was told before."""
        return "*" in self.slot


@dataclass(frozen=True, slots=True)
class Probe:
    """One question and its right answer, the gold.

    `kind` is the type of the answer. The guessing floor is computed for each kind. If the question
    requires one fact, `kind` is the type of its value. If it requires two, `kind` is one of:

    - `bridge:<type of the gold>`: the second fact is about the value of the first, which the
      question does not name. The gold is the value of the second.
    - `pair:values`: the question asks for both values. The gold joins them.

    If nothing answers the question, it requires no fact, its kind is `unanswerable` and its gold is
    the refusal of its language.

    `accepted` are other answers that count as right. `rival` is a wrong answer that is counted by
    itself, or None: at level 4 the value that was replaced, at level 5 the value of the other
    speaker or dialogue.
    """

    probe_id: str
    question: str
    gold: str
    kind: str
    required_facts: tuple[str, ...]
    grounding: str
    accepted: tuple[str, ...] = ()
    rival: str | None = None

    @property
    def answerable(self) -> bool:
        """Whether a fact answers the question."""
        return self.kind != UNANSWERABLE


@dataclass(frozen=True, slots=True)
class Sample:
    """Sessions with their facts and probes. Only level 3 has a distractor, others None.

    A session is a text by itself: one dialogue, or one of several with the same speakers. They are
    written, or put in context, in their order. `variant` is the form of its level that the sample
    has, such as "next session"; levels 1 to 3 have no forms.
    """

    sample_id: str
    level: int
    language: str
    split: str
    skeleton_id: str
    sessions: tuple[str, ...]
    distractor: str | None
    facts: tuple[Fact, ...]
    probes: tuple[Probe, ...]
    variant: str = ""

    @property
    def characters(self) -> int:
        """The length of all sessions."""
        return sum(map(len, self.sessions))

    def place(self, fact: Fact) -> int:
        """Where the value of `fact` begins in all sessions together, in characters."""
        return sum(map(len, self.sessions[: fact.session])) + fact.start

    def row(self) -> dict:
        """This sample as a row of `schemas.BENCHMARK`."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: dict) -> "Sample":
        """The sample that a row of `schemas.BENCHMARK` holds."""
        facts = tuple(Fact(**fact) for fact in row["facts"])
        probes = tuple(
            Probe(
                **{
                    **probe,
                    "required_facts": tuple(probe["required_facts"]),
                    "accepted": tuple(probe["accepted"]),
                }
            )
            for probe in row["probes"]
        )
        sessions = tuple(row["sessions"])
        return cls(**{**row, "sessions": sessions, "facts": facts, "probes": probes})
