"""Fragments: a few hand-written turns that are put into synthetic dialogues, for training.

`data/fragments_<language>.yaml` has the layout of skeletons, but fragments have no id, their
speakers are always a and b, and they may have any number of facts.
"""

import random
from dataclasses import dataclass
from functools import cache

from .draft import Draft, Question
from .grammar import text
from .skeletons import Skeleton, compile_skeleton
from .values import load_yaml, pools

SPEAKERS = ("a", "b")


@cache
def fragments(language: str) -> tuple[Skeleton, ...]:
    """The fragments of `language`, compiled.

    Raises:
        UserError: a fragment is malformed; the message names the file, its number and the key.
    """
    name = f"fragments_{language}.yaml"
    grammar = pools(language).grammar
    made = []
    for number, entry in enumerate(load_yaml(name), 1):
        slots = dict.fromkeys(SPEAKERS, "given") | entry["slots"]
        whole = {"id": f"fragment {number}", "compose": [], **entry, "slots": slots}
        made.append(compile_skeleton(whole, language, grammar, name))
    return tuple(made)


@dataclass(slots=True)
class PlacedFragment:
    """A fragment with values. In the draft its slots have a prefix, so that they are unique."""

    fragment: Skeleton
    prefix: str
    values: dict[str, str]  # by slot of the fragment
    speakers: tuple[int, int] = (0, 1)  # numbers of the dialogue's speakers that are a and b

    def slots(self) -> dict[str, str]:
        """The draft's slot for each slot of the fragment."""
        named = {slot: f"{self.prefix}{slot}" for slot in self.values}
        return named | dict(zip(SPEAKERS, (f"S{i}" for i in self.speakers), strict=True))

    def write(self, draft: Draft, rng: random.Random) -> int:
        """Write the turns, and return the number of the last speaker."""
        slots = self.slots()
        for speaker, words in self.fragment.turns:
            draft.turn(self.values[speaker], slots[speaker])
            draft.say(words, rng, self.values, slots)
        return self.speakers[SPEAKERS.index(speaker)]

    def facts(self, rng: random.Random) -> list[tuple[str, str, str]]:
        """(slot, category, text) of each fact."""
        category, slots = pools(self.fragment.language).category, self.slots()
        return [
            (
                slots[fact.slot],
                category[self.fragment.slots[fact.slot]],
                text(fact.text, rng, self.values),
            )
            for fact in self.fragment.facts
        ]

    def asked(self, rng: random.Random) -> list[Question]:
        """A question for each fact, and for each composition of two facts."""
        slots, types = self.slots(), self.fragment.slots
        single = [(fact.ask, types[fact.slot], (fact.slot,)) for fact in self.fragment.facts]
        double = [(pair.ask, pair.kind, pair.slots) for pair in self.fragment.compose]
        return [
            Question(kind, text(rng.choice(ask), rng, self.values), tuple(slots[s] for s in named))
            for ask, kind, named in single + double
        ]
