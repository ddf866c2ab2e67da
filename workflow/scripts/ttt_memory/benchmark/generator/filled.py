"""A skeleton or a fragment with values: its turns, its facts and its questions."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..sample import UNANSWERABLE
from .draft import Draft, FactLine, Question
from .grammar import named, pick, text
from .grounding import content_words
from .skeletons import Asked, Skeleton
from .values import pools


@dataclass(slots=True)
class Filled:
    """A skeleton or a fragment with values. A sample may hold several of them.

    Attributes:
        skeleton: the skeleton or fragment.
        values: the value of each of its slots.
        slots: the draft's slot for each of its slots.
        rng: draws all that is not a value.
    """

    skeleton: Skeleton
    values: dict[str, str]
    slots: dict[str, str]
    rng: random.Random

    @property
    def speakers(self) -> list[tuple[str, str | None]]:
        """The name of each speaker, and its slot in the draft if it is a value."""
        return [(self.values.get(s, s), self.slots.get(s)) for s in self.skeleton.speakers()]

    def drafted(self) -> tuple[dict[str, str], dict[str, str]]:
        """The value and the type of each slot of the draft."""
        values = {self.slots[slot]: value for slot, value in self.values.items()}
        types = {self.slots[slot]: kind for slot, kind in self.skeleton.slots.items()}
        return values, types

    def write(self, draft: Draft) -> int:
        """Write the turns, and return the number of the last speaker."""
        for speaker, words in self.skeleton.turns:
            draft.turn(self.values.get(speaker, speaker), self.slots.get(speaker))
            draft.say(words, self.rng, self.values, self.slots)
        return self.skeleton.speakers().index(speaker)

    def facts(self) -> list[FactLine]:
        """The facts, by the draft's slots."""
        return [self._fact(fact.slot, self.slots[fact.slot], {}) for fact in self.skeleton.facts]

    def _fact(self, slot: str, drafted: str, changed: dict[str, str]) -> FactLine:
        nodes = next(fact.text for fact in self.skeleton.facts if fact.slot == slot)
        category = pools(self.skeleton.language).category[self.skeleton.slots[slot]]
        return drafted, category, text(nodes, self.rng, self.values | changed)

    # Questions

    def asked(self, levels: tuple[int, ...] = (1, 2), new: bool = False) -> list[Question]:
        """A question for each fact (level 1) and each composition of two facts (level 2).

        With `new`, their wording is one that training never shows.
        """
        chosen = [*(self.skeleton.single if 1 in levels else ())]
        chosen += self.skeleton.compose if 2 in levels else ()
        return [self._question(item, new) for item in chosen]

    def missing(self, new: bool = False) -> list[Question]:
        """Questions on the matter of the dialogue that nothing in it answers."""
        return [self._question(item, new) for item in self.skeleton.missing]

    def asked_of_speakers(self, new: bool = False) -> list[Question]:
        """Questions for which each of two speakers has an answer of the same type.

        They name the speaker who is meant. The rival is the answer of the other one.
        """
        types = self.skeleton.slots
        found = []
        for item in self.skeleton.single:
            alike = [fact.slot for fact in self.skeleton.facts if types[fact.slot] == item.kind]
            wordings = [nodes for nodes in item.wordings(new) if named(nodes) & self._people]
            if len(alike) == 2 and wordings:
                (rival,) = (slot for slot in alike if slot not in item.slots)
                question = self._question(replace(item, ask=tuple(wordings)), new=False)
                found.append(replace(question, rival=self.slots[rival]))
        return found

    @property
    def _people(self) -> set[str]:
        """The slots of the speakers whose names are values."""
        return {name for name in self.skeleton.speakers() if name in self.values}

    def _question(self, item: Asked, new: bool) -> Question:
        nodes = pick(item.wordings(new), self.rng)
        slots = tuple(self.slots[slot] for slot in item.slots)
        return Question(item.kind, text(nodes, self.rng, self.values), slots)

    def foreign(
        self, other: Skeleton, told: Sequence[Skeleton], new: bool = False
    ) -> list[Question]:
        """The questions of another skeleton that nothing told answers, as far as words tell.

        They have at least two content words, none of which occurs in the skeletons `told`. They
        name nobody but speakers.
        """
        language = self.skeleton.language
        here = content_words(language, "\n".join(skeleton.words for skeleton in told))
        found = []
        for item in other.single:
            nodes = pick(item.wordings(new), self.rng)
            words = content_words(language, text(nodes, self.rng, dict.fromkeys(other.slots, "")))
            if named(nodes) <= self._people and len(words) >= 2 and not words & here:
                found.append(Question(UNANSWERABLE, text(nodes, self.rng, self.values), ()))
        return found

    # Changes

    def changeable(self) -> list[str]:
        """The draft's slots whose value a sentence can change, and that no other fact is about."""
        facts = self.skeleton.facts
        found = []
        for fact in facts:
            lines = [line for f in facts if f is not fact for line in (f.text, *f.change)]
            if fact.change and not any(fact.slot in named(line) for line in lines):
                found.append(self.slots[fact.slot])
        return found

    def able(self, drafted: str) -> list[int]:
        """The speakers who can change the value of a slot: all of them."""
        return list(range(len(self.speakers)))

    def change(self, draft: Draft, drafted: str, new_slot: str, value: str) -> FactLine:
        """Say that a slot has a new value, and return the new fact."""
        slot = next(name for name, place in self.slots.items() if place == drafted)
        options = next(fact.change for fact in self.skeleton.facts if fact.slot == slot)
        changed, slots = {slot: value}, self.slots | {slot: new_slot}
        draft.say(pick(options, self.rng), self.rng, self.values | changed, slots)
        return self._fact(slot, new_slot, changed)
