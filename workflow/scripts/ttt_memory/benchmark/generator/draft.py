"""A dialogue that is being written, and the sample made of it with offsets and probes."""

from dataclasses import dataclass, field

from ..sample import PAIR_JOINER, TURN_SEPARATOR, Fact, Probe, Sample
from .grammar import Nodes, expand
from .grounding import grounding


@dataclass(slots=True)
class Question:
    """A question about the facts in `slots`.

    `kind` is the type of the value that is asked for; with two slots it is `bridge` or `pair`.
    """

    kind: str
    text: str
    slots: tuple[str, ...]


@dataclass(slots=True)
class Draft:
    """A dialogue that is being written."""

    language: str
    out: list[str] = field(default_factory=list)  # pieces of text, to be joined
    marks: dict[str, list[int]] = field(default_factory=dict)  # by slot: its pieces' indices

    def turn(self, speaker: str, slot: str | None = None) -> None:
        """Begin a turn. `slot` is the speaker's slot if the speaker's name was drawn as a value."""
        if self.out:
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

    def starts(self) -> tuple[str, dict[str, int]]:
        """The dialogue, and the offset in characters at which each slot's value stands first."""
        offsets, position = [], 0
        for piece in self.out:
            offsets.append(position)
            position += len(piece)
        first = {slot: offsets[min(places)] for slot, places in self.marks.items()}
        return "".join(self.out), first


def build(
    draft: Draft,
    values: dict[str, str],
    facts: list[tuple[str, str, str]],
    asked: list[Question],
    types: dict[str, str],
    grounded: bool,
    **fields: object,
) -> Sample | None:
    """The sample of a finished draft, or None if a question is ambiguous by chance.

    Args:
        draft: the dialogue, with all turns written.
        values: the value of each slot, speakers included.
        facts: (slot, category, text) of each fact.
        asked: the questions, in order.
        types: the value type of each slot.
        grounded: whether to compute the grounding of each probe; if not, it is "unknown".
        fields: the sample's sample_id, level, split and skeleton_id.
    """
    dialogue, first = draft.starts()
    for slot, value in values.items():
        # The value occurs where nobody put it, so it may mean something else there.
        if dialogue.count(value) != len(draft.marks.get(slot, ())):
            return None
    made = [
        Fact(
            f"F{i}",
            said,
            category,
            slot,
            values[slot],
            first[slot],
            first[slot] + len(values[slot]),
        )
        for i, (slot, category, said) in enumerate(sorted(facts, key=lambda f: first[f[0]]), 1)
    ]
    if len({ask.text for ask in asked}) < len(asked):
        return None
    by_slot = {fact.slot: fact for fact in made}
    probes = []
    for i, ask in enumerate(asked, 1):
        required = [by_slot[slot] for slot in ask.slots]
        kind, gold = _answer(ask, required, types, draft.language)
        if any(fact.value.casefold() in ask.text.casefold() for fact in required):
            return None
        shared = grounding(draft.language, ask.text, dialogue, required) if grounded else "unknown"
        ids = tuple(fact.fact_id for fact in required)
        probes.append(Probe(f"P{i}", ask.text, gold, kind, ids, shared))
    return Sample(
        language=draft.language,
        dialogue=dialogue,
        distractor=None,
        facts=tuple(made),
        probes=tuple(probes),
        **fields,
    )


def _answer(ask: Question, required: list[Fact], types: dict, language: str) -> tuple[str, str]:
    """The kind of a probe, and its gold."""
    if ask.kind == "pair":
        return "pair:values", PAIR_JOINER[language].join(fact.value for fact in required)
    if ask.kind == "bridge":
        return f"bridge:{types[required[1].slot]}", required[1].value
    return ask.kind, required[0].value
