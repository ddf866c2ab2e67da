"""From drawn values and filled turns to a sample: offsets, probes, and the checks of each draw."""

from dataclasses import dataclass, field

from .grammar import Nodes, expand
from .grounding import grounding
from .sample import PAIR_JOINER, TURN_SEPARATOR, Fact, Probe, Sample


@dataclass(slots=True)
class Asked:
    """A question to be put: `kind` is a value type, or `bridge` or `pair` for two `slots`."""

    kind: str
    question: str
    slots: tuple[str, ...]


@dataclass(slots=True)
class Scene:
    """A dialogue being written: text pieces, and where in them each slot's value stands."""

    language: str
    out: list[str] = field(default_factory=list)
    marks: dict[str, list[int]] = field(default_factory=dict)

    def turn(self, speaker: str, slot: str | None = None) -> None:
        """Begin a turn; `slot` is the speaker's slot if the name was drawn as a value."""
        if self.out:
            self.out.append("\n")
        if slot is not None:
            self.marks.setdefault(slot, []).append(len(self.out))
        self.out += (speaker, TURN_SEPARATOR[self.language])

    def say(self, nodes: Nodes, rng, bound: dict[str, str], slots: dict[str, str]) -> None:
        """Append an expansion; `slots` maps its variables to the slots they stand for."""
        marks: dict[str, list[int]] = {}
        expand(nodes, rng, bound, self.out, marks)
        for variable, places in marks.items():
            if variable in slots:
                self.marks.setdefault(slots[variable], []).extend(places)

    def starts(self) -> tuple[str, dict[str, int]]:
        """The dialogue, and the first character of each slot's first mention."""
        offsets, position = [], 0
        for piece in self.out:
            offsets.append(position)
            position += len(piece)
        first = {slot: offsets[min(places)] for slot, places in self.marks.items()}
        return "".join(self.out), first


def build(
    scene: Scene,
    values: dict[str, str],
    facts: list[tuple[str, str, str]],
    asked: list[Asked],
    types: dict[str, str],
    grounded: bool,
    **fields: object,
) -> Sample | None:
    """The sample of a finished scene, or None if chance made a probe ambiguous (draw again).

    Args:
        scene: all turns written.
        values: the drawn value of each slot, speakers included.
        facts: (slot, category, text) of each fact.
        asked: the questions, in order.
        types: the value type of each slot.
        grounded: work out each probe's grounding; "unknown" otherwise.
        fields: sample_id, level, split, skeleton_id.
    """
    dialogue, first = scene.starts()
    for slot, value in values.items():
        # A value found more often than it was put there has a second reading by accident.
        if dialogue.count(value) != len(scene.marks.get(slot, ())):
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
    if len({ask.question for ask in asked}) < len(asked):
        return None
    by_slot = {fact.slot: fact for fact in made}
    probes = []
    for i, ask in enumerate(asked, 1):
        required = [by_slot[slot] for slot in ask.slots]
        kind, gold = _answer(ask, required, types, scene.language)
        if any(fact.value.casefold() in ask.question.casefold() for fact in required):
            return None
        shared = (
            grounding(scene.language, ask.question, dialogue, required) if grounded else "unknown"
        )
        ids = tuple(fact.fact_id for fact in required)
        probes.append(Probe(f"P{i}", ask.question, gold, kind, ids, shared))
    return Sample(
        language=scene.language,
        dialogue=dialogue,
        distractor=None,
        facts=tuple(made),
        probes=tuple(probes),
        **fields,
    )


def _answer(ask: Asked, required: list[Fact], types: dict, language: str) -> tuple[str, str]:
    if ask.kind == "pair":
        return "pair:values", PAIR_JOINER[language].join(fact.value for fact in required)
    if ask.kind == "bridge":
        return f"bridge:{types[required[1].slot]}", required[1].value
    return ask.kind, required[0].value
