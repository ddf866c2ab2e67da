"""The plan of a synthetic dialogue: its facts, its fragments and its speakers, drawn at random."""

import random
from dataclasses import dataclass, replace

from .families import BRIDGED_BY, Family, wording
from .filled import Filled
from .fragments import SPEAKERS, fragments
from .grammar import pick
from .skeletons import Skeleton
from .values import pools

TRIES = 20  # attempts to draw a fact or a thing that fits


@dataclass(slots=True)
class PlannedFact:
    """One fact of the dialogue, with the words of its family's variables."""

    slot: str
    value_type: str
    value: str
    family: Family
    bound: dict[str, str]  # by variable: its word
    slots: dict[str, str]  # by variable: its slot, if its word is a value or a speaker
    speaker: int | None = None  # the speaker whom the fact is about, if it is about one
    told: bool = False  # another speaker states it, in the second person
    bridge: "PlannedFact | None" = None  # the fact whose value this one is about

    @property
    def key(self) -> tuple:
        """What tells this fact from others of its topic."""
        words = (self.bound.get(k, self.bound.get(f"{k}.0")) for k in self.family.key)
        return (self.family.topic, *words)


class Plan:
    """The facts, fragments and speakers of one dialogue. No two of them can be confused."""

    def __init__(
        self,
        language: str,
        rng: random.Random,
        taken: list[str],
        prefix: str = "",
        speakers: int | None = None,
        beside: "Plan | None" = None,
    ):
        """`taken` are the values of the sample so far; `prefix` makes the slots unique in it.

        There are two or three speakers unless their number is given. No fact can be confused with
        one of the plan `beside` it either.
        """
        self.language = language
        self.rng = rng
        self.prefix = prefix
        self.wording = wording(language)
        self.pool = pools(language)
        self.facts: list[PlannedFact] = []
        self.placed: list[Filled] = []
        self._taken = taken  # values and things that occur already
        self._keys: set[tuple] = beside._keys if beside else set()
        # Nouns such as "deposit" that occur already, and those of them used without a thing.
        self._nouns: set[str] = beside._nouns if beside else set()
        self._bare_nouns: set[str] = beside._bare_nouns if beside else set()
        count = speakers or (2 if rng.random() < 0.9 else 3)
        self.names = [self._value("given") for _ in range(count)]

    def others(self, last: int) -> list[int]:
        """The numbers of all speakers except `last`."""
        return [i for i in range(len(self.names)) if i != last]

    def given(self) -> int:
        """The number of facts in the fragments."""
        return sum(len(placed.skeleton.facts) for placed in self.placed)

    def speaker_slot(self, speaker: int) -> str:
        """The draft's slot of a speaker."""
        return f"{self.prefix}S{speaker}"

    def add_fragment(self, wanted: int) -> None:
        """Add a fragment, unless it is there or the fragments would have over `wanted` facts."""
        fragment = pick(fragments(self.language), self.rng)
        used = any(placed.skeleton is fragment for placed in self.placed)
        if used or self.given() + len(fragment.facts) > wanted:
            return
        first = int(self.rng.random() * len(self.names))
        second = pick(self.others(first), self.rng)
        self._place(fragment, (first, second))

    def _place(self, fragment: Skeleton, speakers: tuple[int, int]) -> None:
        values = {name: self.names[i] for name, i in zip(SPEAKERS, speakers, strict=True)}
        for slot, value_type in fragment.slots.items():
            if slot not in values:
                values[slot] = self._value(value_type)
        slots = {slot: f"{self.prefix}K{len(self.placed)}{slot}" for slot in values}
        for name, i in zip(SPEAKERS, speakers, strict=True):
            slots[name] = self.speaker_slot(i)
        self.placed.append(Filled(fragment, values, slots, self.rng))

    def _value(self, value_type: str) -> str:
        value = self.pool.draw(value_type, False, self.rng, self._taken)
        self._taken.append(value)
        return value

    def _entity(self, rule: str) -> str:
        """A person or a thing that a fact can be about."""
        if rule == "person":
            return self._value("person")
        for _ in range(TRIES):
            entity = self.wording.grammar.draw(rule, self.rng)
            overlaps = any(entity in other or other in entity for other in self._taken)
            if not overlaps and not self.pool.held_out(entity):
                break
        self._taken.append(entity)
        return entity

    def add_fact(self) -> None:
        """Add a fact: one that is easily confused with another, one about its value, or any."""
        rng = self.rng
        previous = pick(self.facts, rng) if self.facts else None
        for _ in range(TRIES):
            draw = rng.random()
            if previous and draw < 0.35:
                fact = self._similar(previous)
            elif previous and draw < 0.55 and previous.value_type in BRIDGED_BY:
                fact = self._bridging(previous)
            elif previous and draw < 0.75 and previous.speaker is not None:
                fact = self._of_other_speaker(previous)
            else:
                fact = self._fresh(pick(self.wording.families, rng), {}, {})
            if fact is not None:
                self.facts.append(fact)
                return

    def _similar(self, other: PlannedFact) -> PlannedFact | None:
        """Another fact of the same family that has one of its words in common."""
        keep = pick(other.family.bind, self.rng)[0]
        if keep == "P" and other.speaker is not None:
            return self._fresh(other.family, {}, {})
        kept = {k: v for k, v in other.bound.items() if k.startswith(keep)}
        slots = {k: v for k, v in other.slots.items() if k == keep}
        return self._fresh(other.family, kept, slots)

    def _of_other_speaker(self, other: PlannedFact) -> PlannedFact | None:
        """The same about another speaker."""
        speaker = pick(self.others(other.speaker), self.rng)
        slots = other.slots | {"P": self.speaker_slot(speaker)}
        fact = self._fresh(other.family, other.bound | {"P": self.names[speaker]}, slots, speaker)
        if fact is not None:
            fact.told = other.told
        return fact

    def lacks(self, fact: PlannedFact) -> bool:
        """Whether nobody states a fact like `fact` here."""
        return fact.key not in self._keys

    def near_miss(self) -> PlannedFact | None:
        """A fact that nobody states: like one of the facts, but with at least one other word."""
        for _ in range(TRIES):
            fact = self._similar(pick(self.facts, self.rng)) if self.facts else None
            if fact is not None:
                return fact
        return None

    def twin(self, prefix: str) -> "Plan":
        """A plan with the same facts and fragments, but other values and other speakers.

        Where a fact is about a speaker or a value, the copy is about the one in its place.
        """
        other = Plan(self.language, self.rng, self._taken, prefix, len(self.names))
        other._keys = set(self._keys)
        other._nouns, other._bare_nouns = set(self._nouns), set(self._bare_nouns)
        for placed in self.placed:
            first, second = (self.names.index(placed.values[name]) for name in SPEAKERS)
            other._place(placed.skeleton, (first, second))
        # By slot: the slot and the word that stand in its place.
        instead = {
            self.speaker_slot(i): (other.speaker_slot(i), name)
            for i, name in enumerate(other.names)
        }
        copies: dict[str, PlannedFact] = {}
        for fact in self.facts:
            about = {name: instead[slot] for name, slot in fact.slots.items()}
            copy = replace(
                fact,
                slot=f"{prefix}V{len(other.facts)}",
                value=other._value(fact.value_type),
                bound=fact.bound | {name: word for name, (_, word) in about.items()},
                slots={name: slot for name, (slot, _) in about.items()},
                bridge=fact.bridge and copies[fact.bridge.slot],
            )
            instead[fact.slot], copies[fact.slot] = (copy.slot, copy.value), copy
            other._keys.add(copy.key)
            other.facts.append(copy)
        return other

    def _bridging(self, first: PlannedFact) -> PlannedFact | None:
        """A fact about the value of `first`."""
        variable = BRIDGED_BY[first.value_type]
        if not first.family.np or any(fact.bridge is first for fact in self.facts):
            return None
        family = pick(self.wording.bridging[variable], self.rng)
        fact = self._fresh(family, {variable: first.value}, {variable: first.slot})
        if fact is not None:
            fact.bridge = first
        return fact

    def _fresh(
        self, family: Family, bound: dict, slots: dict, speaker: int | None = None
    ) -> PlannedFact | None:
        """A fact of `family`, or None if it could be confused with another."""
        before = len(self._taken)
        slot, value_type = f"{self.prefix}V{len(self.facts)}", pick(family.types, self.rng)
        fact = PlannedFact(slot, value_type, "", family, bound, slots, speaker)
        self._bind(fact)
        bound = fact.bound
        unsaid = "P" in bound and fact.speaker is None and not family.say
        noun, bare = bound.get("N"), family.topic == "bare"
        if unsaid or fact.key in self._keys or not self._distinct(noun, bare):
            del self._taken[before:]
            return None
        self._keys.add(fact.key)
        fact.value = self._value(fact.value_type)
        return fact

    def _bind(self, fact: PlannedFact) -> None:
        """Choose words for those variables of the fact's family that have none."""
        family, rng = fact.family, self.rng
        fact.bound = bound = dict(fact.bound)
        for variable, source in family.bind:
            if any(name.startswith(variable) for name in bound):
                continue
            if variable == "P" and family.me and (not family.say or rng.random() < 0.5):
                fact.speaker = int(rng.random() * len(self.names))
                # With three speakers it is not clear who "you" is.
                fact.told = bool(family.thee) and len(self.names) == 2 and rng.random() < 0.3
                bound["P"] = self.names[fact.speaker]
                fact.slots = fact.slots | {"P": self.speaker_slot(fact.speaker)}
            elif source.words:
                bound |= source.forms(variable, pick(source.words, rng))
            elif source.verbs:
                bound |= source.forms(variable, self.wording.grammar.draw(source.rule, rng))
            else:
                bound[variable] = self._entity(source.rule)

    def _distinct(self, noun: str | None, bare: bool) -> bool:
        """Whether questions with `noun` have one answer; if so, it is marked as used.

        "What is the deposit?" has one answer only if nothing else has a deposit.
        """
        if noun is None:
            return True
        others = self._nouns if bare else self._bare_nouns
        if noun in others or any(noun in placed.skeleton.words for placed in self.placed):
            return False
        self._nouns.add(noun)
        if bare:
            self._bare_nouns.add(noun)
        return True
