"""Sessions that are being written, and the sample made of them with offsets and probes."""

from dataclasses import dataclass, field

from ..sample import PAIR_JOINER, REFUSALS, TURN_SEPARATOR, UNANSWERABLE, Fact, Probe, Sample
from .grammar import Nodes, expand
from .grounding import grounding

FactLine = tuple[str, str, str]  # slot, category and text of a fact


@dataclass(slots=True)
class Question:
    """A question about the facts in `slots`.

    `kind` is the type of the value that is asked for; with two slots it is `bridge` or `pair`, with
    none `unanswerable`. `rival` is the slot of a wrong answer that is counted by itself. `noun`
    stands for the question in frames such as "Could you tell me ...?", if there are such words.
    """

    kind: str
    text: str
    slots: tuple[str, ...]
    rival: str | None = None
    noun: str | None = None


@dataclass(slots=True)
class Draft:
    """The sessions that are being written."""

    language: str
    out: list[str] = field(default_factory=list)  # pieces of text, to be joined
    marks: dict[str, list[int]] = field(default_factory=dict)  # by slot: its pieces' indices
    begins: list[int] = field(
        default_factory=lambda: [0]
    )  # the index of each session's first piece

    def session(self) -> None:
        """Begin another session."""
        self.begins.append(len(self.out))

    def turn(self, speaker: str, slot: str | None = None) -> None:
        """Begin a turn. `slot` is the speaker's slot if the speaker's name was drawn as a value."""
        if len(self.out) > self.begins[-1]:
            self.out.append("\n")
        if slot is not None:
            self.marks.setdefault(slot, []).append(len(self.out))
        self.out += (speaker, TURN_SEPARATOR[self.language])

    def say(self, nodes: Nodes, rng, bound: dict[str, str], slots: dict[str, str]) -> None:
        """Append an expansion of `nodes`. `slots` gives the slot of each variable that has one."""
        marks: dict[str, list[int]] = {}
        expand(nodes, rng, bound, self.out, marks)
        for variable, places in marks.items():
            if variable in slots:
                self.marks.setdefault(slots[variable], []).extend(places)

    def sessions(self) -> tuple[str, ...]:
        """The text of each session."""
        ends = [*self.begins[1:], len(self.out)]
        spans = zip(self.begins, ends, strict=True)
        return tuple("".join(self.out[begin:end]) for begin, end in spans)

    def places(self) -> dict[str, tuple[int, int]]:
        """Where each slot's value stands first: its session, and the offset there in characters."""
        offsets: list[tuple[int, int]] = []
        session, position = -1, 0
        for number, piece in enumerate(self.out):
            while session + 1 < len(self.begins) and self.begins[session + 1] == number:
                session, position = session + 1, 0
            offsets.append((session, position))
            position += len(piece)
        return {slot: offsets[min(places)] for slot, places in self.marks.items()}


def build(
    draft: Draft,
    values: dict[str, str],
    facts: list[FactLine],
    asked: list[Question],
    types: dict[str, str],
    grounded: bool,
    **fields: object,
) -> Sample | None:
    """The sample of a finished draft, or None if a question is ambiguous by chance.

    Args:
        draft: the sessions, with all turns written.
        values: the value of each slot, speakers included.
        facts: (slot, category, text) of each fact.
        asked: the questions, in order.
        types: the value type of each slot.
        grounded: whether to compute the grounding of each probe; if not, it is "unknown".
        fields: the sample's sample_id, level, split, skeleton_id and variant.
    """
    sessions, places = draft.sessions(), draft.places()
    whole = "\n".join(sessions)
    for slot, value in values.items():
        # The value occurs where nobody put it, so it may mean something else there.
        if whole.count(value) != len(draft.marks.get(slot, ())):
            return None
    if len({ask.text.casefold() for ask in asked}) < len(asked):
        return None
    made = {}
    for i, (slot, category, said) in enumerate(sorted(facts, key=lambda f: places[f[0]]), 1):
        session, start = places[slot]
        end = start + len(values[slot])
        made[slot] = Fact(f"F{i}", said, category, slot, values[slot], start, end, session)
    probes = []
    for i, ask in enumerate(asked, 1):
        required = [made[slot] for slot in ask.slots]
        kind, gold = _answer(ask, required, types, draft.language)
        if any(fact.value.casefold() in ask.text.casefold() for fact in required):
            return None
        shared = grounding(draft.language, ask.text, sessions, required) if grounded else "unknown"
        ids = tuple(fact.fact_id for fact in required)
        rival = None if ask.rival is None else values[ask.rival]
        probes.append(Probe(f"P{i}", ask.text, gold, kind, ids, shared, rival=rival))
    return Sample(
        language=draft.language,
        sessions=sessions,
        distractor=None,
        facts=tuple(made.values()),
        probes=tuple(probes),
        **fields,
    )


def _answer(ask: Question, required: list[Fact], types: dict, language: str) -> tuple[str, str]:
    """The kind of a probe, and its gold."""
    if ask.kind == UNANSWERABLE:
        return ask.kind, REFUSALS[language]
    if ask.kind == "pair":
        return "pair:values", PAIR_JOINER[language].join(fact.value for fact in required)
    if ask.kind == "bridge":
        return f"bridge:{types[required[1].slot]}", required[1].value
    return ask.kind, required[0].value
