"""A story: the sessions of one sample, in the making, and the questions about them.

It tells dialogues, each a session of its own, and changes values later on, in the same session or
in another one. Questions are then about the latest values.
"""

import random
from dataclasses import replace
from typing import Protocol

from ..sample import Sample
from .draft import Draft, FactLine, Question, build
from .filled import Filled
from .frames import CASUAL, casual, frames, of_whom
from .grammar import VARIABLE, Nodes, pick
from .skeletons import Skeleton
from .values import pools

Change = tuple[str, str]  # a slot of the draft, and its new value


class Part(Protocol):
    """A dialogue with its values: a `Filled` skeleton, or a dialogue composed fact by fact."""

    @property
    def speakers(self) -> list[tuple[str, str | None]]:
        """The name of each speaker, and its slot in the draft if it is a value."""

    def drafted(self) -> tuple[dict[str, str], dict[str, str]]:
        """The value and the type of each slot of the draft."""

    def write(self, draft: Draft) -> int:
        """Write the turns, and return the number of the last speaker."""

    def facts(self) -> list[FactLine]:
        """The facts, by the draft's slots."""

    def changeable(self) -> list[str]:
        """The draft's slots whose value can be changed, and that no other fact is about."""

    def able(self, drafted: str) -> list[int]:
        """The speakers who can change the value of a slot."""

    def change(self, draft: Draft, drafted: str, new_slot: str, value: str) -> FactLine:
        """Say that a slot has a new value, and return the new fact."""


class Story:
    """The sessions of one sample.

    `heldout` says whether values are held out, `new` whether frames are those that training never
    shows. Questions come with their wording.
    """

    def __init__(self, language: str, rng: random.Random, heldout: bool = False, new: bool = False):
        self.language, self.rng, self.heldout = language, rng, heldout
        self.frames = frames(language, new)
        self.new = new
        self.draft = Draft(language)
        self.taken: list[str] = []  # values and things that occur already
        self.values: dict[str, str] = {}
        self.types: dict[str, str] = {}
        self.facts: list[FactLine] = []
        self.latest: dict[str, str] = {}  # by slot: that of the value that replaced it in the end
        self.replaced: dict[str, str] = {}  # by slot of a new value: that of the value before
        self._last: dict[int, int] = {}  # by part: the number of its last speaker

    # Sessions

    def fill(self, skeleton: Skeleton, prefix: str = "") -> Filled:
        """`skeleton` with new values. `prefix` tells its slots from those of other dialogues."""
        values: dict[str, str] = {}
        for slot, value_type in skeleton.slots.items():
            values[slot] = self.value(value_type)
        return Filled(skeleton, values, {slot: prefix + slot for slot in values}, self.rng)

    def value(self, value_type: str) -> str:
        """A value that the sample does not have yet."""
        value = pools(self.language).draw(value_type, self.heldout, self.rng, self.taken)
        self.taken.append(value)
        return value

    def tell(self, part: Part) -> None:
        """Write a dialogue as a session."""
        self._begin_session()
        self._last[id(part)] = part.write(self.draft)
        values, types = part.drafted()
        self.values |= values
        self.types |= types
        self.facts += part.facts()

    def _begin_session(self) -> None:
        if self.draft.out:
            self.draft.session()

    # Changes

    def draw_changes(self, part: Part, count: int) -> list[Change]:
        """New values for up to `count` slots of a dialogue, which one speaker can state."""
        slots = part.changeable()
        self.rng.shuffle(slots)
        _, types = part.drafted()
        chosen: list[str] = []
        for slot in slots:
            if len(chosen) < count and self._able(part, [*chosen, slot]):
                chosen.append(slot)
        return [(slot, self.value(types[slot])) for slot in chosen]

    def _able(self, part: Part, slots: list[str]) -> list[int]:
        """The speakers who can state all changes of `slots`."""
        return [i for i in range(len(part.speakers)) if all(i in part.able(s) for s in slots)]

    def change_now(self, part: Part, changes: list[Change]) -> None:
        """State new values at the end of the dialogue, each in a turn."""
        for change in changes:
            able, last = self._able(part, [change[0]]), self._last[id(part)]
            if able == [last]:
                last = self._reply(part, last)
            speaker = pick([i for i in able if i != last], self.rng)
            self.draft.turn(*part.speakers[speaker])
            self._state(part, change, framed=True)
            self._last[id(part)] = speaker
            if self.rng.random() < 0.5:
                self._last[id(part)] = self._reply(part, speaker)

    def change_later(self, part: Part, changes: list[Change]) -> None:
        """State new values in a session of its own."""
        self._begin_session()
        able = self._able(part, [slot for slot, _ in changes])
        a = pick(able, self.rng)
        b = pick([i for i in range(len(part.speakers)) if i != a], self.rng)
        people = {"a": part.speakers[a], "b": part.speakers[b]}
        names = {letter: name for letter, (name, _) in people.items()}
        slots = {letter: slot for letter, (_, slot) in people.items() if slot is not None}
        for letter, words in pick(self.frames.session, self.rng):
            self.draft.turn(*people[letter])
            for node in words:
                if node == (VARIABLE, "S"):
                    self._state_all(part, changes)
                else:
                    self.draft.say((node,), self.rng, names, slots)

    def _state_all(self, part: Part, changes: list[Change]) -> None:
        for number, change in enumerate(changes):
            if number and self.language == "en":
                self.draft.out.append(" ")
            self._state(part, change, framed=self.rng.random() < 0.5)

    def _state(self, part: Part, change: Change, framed: bool) -> None:
        """State a new value, perhaps in a frame."""
        slot, value = change
        old = self.latest.get(slot, slot)
        new = f"{slot}*{1 + sum(place.startswith(f'{slot}*') for place in self.values)}"
        frame: Nodes = pick(self.frames.change, self.rng) if framed else ((VARIABLE, "S"),)
        for node in frame:
            if node == (VARIABLE, "S"):
                self.facts.append(part.change(self.draft, slot, new, value))
            else:
                self.draft.say((node,), self.rng, {"OLD": self.values[old]}, {"OLD": old})
        self.values[new], self.types[new] = value, self.types[slot]
        self.latest[slot], self.replaced[new] = new, old

    def _reply(self, part: Part, last: int) -> int:
        """Another speaker than the last one says a few words; returns that speaker."""
        speaker = pick([i for i in range(len(part.speakers)) if i != last], self.rng)
        self.draft.turn(*part.speakers[speaker])
        self.draft.say(pick(self.frames.reply, self.rng), self.rng, {}, {})
        return speaker

    # Questions

    def updated(self, asked: list[Question]) -> list[Question]:
        """The questions, about the latest values.

        Those that name or hide a value that was changed are left out.
        """
        if not self.latest:
            return asked
        made = []
        changed = [*self.latest, *self.replaced]
        for ask in asked:
            hidden = ask.slots[:-1] if ask.kind == "bridge" else ()
            if any(self.values[slot] in ask.text for slot in changed) or set(hidden) & set(changed):
                continue
            slots = tuple(self.latest.get(slot, slot) for slot in ask.slots)
            rival = self.replaced.get(slots[-1]) if slots and ask.kind != "pair" else ask.rival
            made.append(replace(ask, slots=slots, rival=rival))
        return made

    def of_part(self, part: Part, ask: Question) -> Question:
        """The question, saying which dialogue it is about by its speakers."""
        # Not all of three speakers need to have spoken.
        spoke = [name for name, slot in part.speakers if slot is None or slot in self.draft.marks]
        one, other = spoke[:2]
        return replace(ask, text=of_whom(ask, (one, other), self.language, self.new, self.rng))

    def sample(self, asked: list[Question], **fields) -> Sample | None:
        """The sample, some of its questions written without care; None if one is ambiguous.

        `fields` are the sample's sample_id, level, split, skeleton_id and variant, and `grounded`
        as in `draft.build`.
        """
        kept = list(self.values.values())
        asked = [
            replace(ask, text=casual(self.language, ask.text, kept))
            if self.rng.random() < CASUAL
            else ask
            for ask in asked
        ]
        return build(self.draft, self.values, self.facts, asked, self.types, **fields)
