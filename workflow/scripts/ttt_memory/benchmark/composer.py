"""Arrange synthetic facts into a dialogue of two or three speakers, and ask about them."""

import random

from .fragments import SPEAKERS, Placed, fragments
from .grammar import Nodes, expand, text
from .sample import TURN_SEPARATOR, Sample
from .scene import Asked, Scene, build
from .synthetic import BRIDGED_BY, Family, Frames, Stated, frames
from .values import pools

MAX_PAIRS = 2
FRAGMENTS = (0, 0, 0, 1, 1, 1, 2, 2, 3)  # how many a dialogue has, equally likely entries
_NOTHING = ("",)
TRIES = 20  # draws of a fact before the dialogue makes do without it


def dialogue(language: str, rng: random.Random, **fields) -> Sample:
    """A synthetic sample with training values; `fields` are sample_id, level, split, grounded."""
    while True:
        sample = _Composer(language, rng).sample(**fields)
        if sample is not None:
            return sample


def _pick(options, rng: random.Random):
    return options[int(rng.random() * len(options))]


def _may_say(fact: Stated, speaker: int) -> bool:
    if fact.speaker is None:
        return True
    return (fact.speaker != speaker) if fact.told else (fact.speaker == speaker)


class _Composer:
    def __init__(self, language: str, rng: random.Random):
        self.language = language
        self.frames: Frames = frames(language)
        self.pool = pools(language)
        self.rng = rng
        self.scene = Scene(language)
        self.taken: list[str] = []
        self.keys: set[tuple] = set()
        self.facts: list[Stated] = []
        count = 2 if rng.random() < 0.9 else 3
        self.names = [self._value("given") for _ in range(count)]
        self.nouns: set[str] = set()  # attribute nouns in use
        self.bare_nouns: set[str] = set()  # those that no entity goes with
        self.placed: list[Placed] = []
        self.talk = rng.randint(2, 7)  # sentences of small talk left

    def sample(self, **fields) -> Sample | None:
        """Draw facts, write the turns, put the questions."""
        rng = self.rng
        wanted = rng.randint(5, 9)
        for _ in range(_pick(FRAGMENTS, rng)):
            self._add_fragment(wanted)
        while len(self.facts) < wanted - self._given():
            self._add_fact()
        if rng.random() < 0.5:
            rng.shuffle(self.facts)
        self._write()
        facts = [
            (fact.slot, self.pool.category[fact.value_type], self._statement(fact))
            for fact in self.facts
        ]
        asked = [Asked(f.value_type, self._question(f), (f.slot,)) for f in self.facts]
        asked += self._bridges()
        values = {fact.slot: fact.value for fact in self.facts}
        types = {fact.slot: fact.value_type for fact in self.facts}
        for placed in self.placed:
            facts += placed.facts(rng)
            asked += placed.asked(rng)
            slots = placed.slots()
            values |= {slots[name]: value for name, value in placed.values.items()}
            types |= {slots[name]: kind for name, kind in placed.fragment.slots.items()}
        for i, name in enumerate(self.names):
            if f"S{i}" in self.scene.marks:
                values[f"S{i}"] = name
        asked += self._pairs([ask for ask in asked if ask.kind != "bridge"])
        return build(
            self.scene, values, facts, asked, types, skeleton_id="synthetic", **fields
        )

    def _given(self) -> int:
        return sum(len(placed.fragment.facts) for placed in self.placed)

    def _add_fragment(self, wanted: int) -> None:
        fragment = _pick(fragments(self.language), self.rng)
        used = any(placed.fragment is fragment for placed in self.placed)
        if used or self._given() + len(fragment.facts) > wanted:
            return
        first = int(self.rng.random() * len(self.names))
        second = _pick(self._others(first), self.rng)
        values = {"a": self.names[first], "b": self.names[second]}
        for slot, value_type in fragment.slots.items():
            if slot not in values:
                values[slot] = self._value(value_type)
        prefix = f"K{len(self.placed)}"
        self.placed.append(Placed(fragment, prefix, values, (first, second)))

    # Facts

    def _value(self, value_type: str) -> str:
        value = self.pool.draw(value_type, False, self.rng, self.taken)
        self.taken.append(value)
        return value

    def _entity(self, rule: str) -> str:
        if rule == "person":
            return self._value("person")
        for _ in range(TRIES):
            entity = self.frames.grammar.draw(rule, self.rng)
            if not any(entity in other or other in entity for other in self.taken):
                break
        self.taken.append(entity)
        return entity

    def _add_fact(self) -> None:
        rng = self.rng
        previous = _pick(self.facts, rng) if self.facts else None
        for _ in range(TRIES):
            draw = rng.random()
            if previous and draw < 0.35:
                fact = self._similar(previous)
            elif previous and draw < 0.55 and previous.value_type in BRIDGED_BY:
                fact = self._bridging(previous)
            else:
                fact = self._fresh(_pick(self.frames.families, rng), {}, {})
            if fact is not None:
                self.facts.append(fact)
                return

    def _similar(self, other: Stated) -> Stated | None:
        """Another fact of the same family that keeps some of its words: a near miss."""
        keep = _pick(other.family.bind, self.rng)[0]
        if keep == "P" and other.speaker is not None:
            return self._fresh(other.family, {}, {})
        kept = {k: v for k, v in other.bound.items() if k.startswith(keep)}
        slots = {k: v for k, v in other.slots.items() if k == keep}
        return self._fresh(other.family, kept, slots)

    def _bridging(self, first: Stated) -> Stated | None:
        variable = BRIDGED_BY[first.value_type]
        if not first.family.np or any(fact.bridge is first for fact in self.facts):
            return None
        family = _pick(self.frames.bridging[variable], self.rng)
        fact = self._fresh(family, {variable: first.value}, {variable: first.slot})
        if fact is not None:
            fact.bridge = first
        return fact

    def _fresh(self, family: Family, bound: dict, slots: dict) -> Stated | None:
        rng, bound, before = self.rng, dict(bound), len(self.taken)
        speaker, told = None, False
        for variable, source in family.bind:
            if any(name.startswith(variable) for name in bound):
                continue
            if variable == "P" and family.me and (not family.say or rng.random() < 0.5):
                speaker = int(rng.random() * len(self.names))
                told = bool(family.thee) and len(self.names) == 2 and rng.random() < 0.3
                bound["P"] = self.names[speaker]
                slots = slots | {"P": f"S{speaker}"}
            elif source.words:
                bound |= source.forms(variable, _pick(source.words, rng))
            elif source.verbs:
                bound |= source.forms(variable, self.frames.grammar.draw(source.rule, rng))
            else:
                bound[variable] = self._entity(source.rule)
        key = (family.topic, *(bound.get(k, bound.get(f"{k}.0")) for k in family.key))
        if key in self.keys or ("P" in bound and speaker is None and not family.say):
            del self.taken[before:]
            return None
        if not self._distinct(bound.get("N"), bare=family.topic == "bare"):
            del self.taken[before:]
            return None
        self.keys.add(key)
        value_type = _pick(family.types, rng)
        slot = f"V{len(self.facts)}"
        value = self._value(value_type)
        return Stated(slot, value_type, value, family, bound, slots, speaker, told=told)

    def _distinct(self, noun: str | None, bare: bool) -> bool:
        """Whether an attribute noun keeps its question unambiguous; remembers it if so.

        "What is the deposit?" has one answer only if nothing else has a deposit.
        """
        if noun is None:
            return True
        others = self.nouns if bare else self.bare_nouns
        if noun in others or any(noun in placed.fragment.words for placed in self.placed):
            return False
        self.nouns.add(noun)
        if bare:
            self.bare_nouns.add(noun)
        return True

    # Turns

    def _write(self) -> None:
        """Put all facts into turns: stated, or asked for by one speaker and given by another."""
        pending, last = list(self.facts), -1
        if self.rng.random() < 0.5:
            last = self._begin(self._others(last))
            self._sentence(self.frames.opener)
        waiting = list(self.placed)
        while pending or waiting:
            if waiting and (not pending or self.rng.random() < 0.3):
                last = self._place(waiting.pop(), last)
                continue
            fact = pending[0]
            able = [i for i in self._others(last) if _may_say(fact, i)]
            askers = [i for i in self._others(last) if i != fact.speaker]
            ask = askers and not fact.told and (not able or self.rng.random() < 0.25)
            if ask:
                last = self._ask_in_dialogue(pending, askers)
            elif able:
                last = self._begin(able)
                self._chatter(0.3)
                self._state(pending, last)
            else:  # only the one who spoke last can say it: let another speak first
                last = self._begin(self._others(last))
                self._sentence(self.frames.filler)
        if self.rng.random() < 0.4:
            self._begin(self._others(last))
            self._sentence(self.frames.closer)

    def _place(self, placed: Placed, last: int) -> int:
        """Write a fragment's turns, after a word from another if its first speaker just spoke."""
        begins = placed.speakers[SPEAKERS.index(placed.fragment.turns[0][0])]
        if begins == last:
            self._begin(self._others(last))
            self._sentence(self.frames.filler)
        return placed.write(self.scene, self.rng)

    def _others(self, last: int) -> list[int]:
        return [i for i in range(len(self.names)) if i != last]

    def _begin(self, able: list[int]) -> int:
        speaker = _pick(able, self.rng)
        self.scene.turn(self.names[speaker], f"S{speaker}")
        return speaker

    def _ask_in_dialogue(self, pending: list[Stated], askers: list[int]) -> int:
        """One speaker asks, another answers with little more than the value."""
        fact = pending.pop(0)
        asker = self._begin(askers)
        self._chatter(0.3)
        own = fact.speaker is not None and fact.family.you
        self._sentence(fact.family.you if own else fact.family.cue, fact)
        last = self._begin([i for i in self._others(asker) if _may_say(fact, i)])
        self._sentence(fact.family.reply, fact)
        if pending and _may_say(pending[0], last) and self.rng.random() < 0.5:
            self._state(pending, last)
        return last

    def _state(self, pending: list[Stated], speaker: int) -> None:
        """State the next fact, and perhaps some more, each as a clause."""
        self._clause(pending.pop(0), fresh=True)
        for _ in range(2):
            if not (pending and _may_say(pending[0], speaker) and self.rng.random() < 0.45):
                break
            joined = self.rng.random() < 0.35
            self._put(self.frames.join if joined else self.frames.stop)
            if not joined:
                self._chatter(0.15)
            self._clause(pending.pop(0), fresh=not joined)
        self._put(self.frames.stop)
        self._chatter(0.25)

    def _clause(self, fact: Stated, fresh: bool) -> None:
        family = fact.family
        own = family.thee if fact.told else family.me
        self._sentence(own if fact.speaker is not None else family.say, fact, fresh)

    def _chatter(self, chance: float) -> None:
        if self.talk > 0 and self.rng.random() < chance:
            self.talk -= 1
            self._sentence(self.frames.filler)

    def _put(self, marks: tuple[Nodes, ...]) -> None:
        expand(_pick(marks, self.rng), self.rng, {}, self.scene.out, {})

    def _sentence(
        self, frames_: tuple[Nodes, ...], fact: Stated | None = None, fresh: bool = True
    ) -> None:
        """Append one of `frames_`; `fresh`: after a space if need be, with a capital letter."""
        out = self.scene.out
        if fresh and out[-1] != TURN_SEPARATOR[self.language]:
            out.append(self.frames.space)
        begin = len(out)
        nodes = _pick(frames_, self.rng)
        if fact is None:
            expand(nodes, self.rng, {}, out, {})
        else:
            self.scene.say(nodes, self.rng, self._bound(fact), fact.slots | {"V": fact.slot})
        # A value keeps its case, wherever it stands.
        if fresh and (fact is None or out[begin] != fact.value):
            out[begin] = out[begin][:1].upper() + out[begin][1:]

    def _bound(self, fact: Stated) -> dict[str, str]:
        before = _pick(self.frames.at.get(fact.value_type, _NOTHING), self.rng)
        return fact.bound | {"V": fact.value, "AT": before}

    # Questions

    def _statement(self, fact: Stated) -> str:
        return text(_pick(fact.family.say or fact.family.me, self.rng), self.rng, self._bound(fact))

    def _question(self, fact: Stated) -> str:
        return _capital(text(_pick(fact.family.ask, self.rng), self.rng, fact.bound))

    def _bridges(self) -> list[Asked]:
        asked = []
        for fact in self.facts:
            first = fact.bridge
            if first is None:
                continue
            phrase = text(_pick(first.family.np, self.rng), self.rng, first.bound)
            bound = fact.bound | {BRIDGED_BY[first.value_type]: phrase}
            question = text(_pick(fact.family.bridge_ask, self.rng), self.rng, bound)
            asked.append(Asked("bridge", _capital(question), (first.slot, fact.slot)))
        return asked

    def _pairs(self, single: list[Asked]) -> list[Asked]:
        """Questions for two facts at once, made of two questions for one each."""
        asked = []
        for _ in range(int(self.rng.random() * (MAX_PAIRS + 1))):
            first, second = self.rng.sample(single, 2)
            one, two = (ask.question.rstrip("?？.") for ask in (first, second))
            if two.split(" ")[0] in _WH:
                two = two[:1].lower() + two[1:]
            question = text(_pick(self.frames.pair, self.rng), self.rng, {"Q1": one, "Q2": two})
            pair = Asked("pair", question, first.slots + second.slots)
            # One question may name the other's answer: such a pair would give it away.
            if not any(self._value_of(slot) in question for slot in pair.slots):
                asked.append(pair)
        return asked

    def _value_of(self, slot: str) -> str:
        return self.scene.out[self.scene.marks[slot][0]]


_WH = ("What", "Who", "When", "Where", "Which", "How", "Whom", "By", "For", "At", "On", "To")


def _capital(question: str) -> str:
    return question[:1].upper() + question[1:]
