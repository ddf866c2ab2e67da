"""Arrange synthetic facts into a dialogue of two or three speakers, and ask about them."""

import random

from .grammar import Nodes, expand, text
from .sample import Sample
from .scene import Asked, Scene, build
from .synthetic import BRIDGED_BY, Family, Frames, Stated, frames
from .values import pools

MAX_PAIRS = 2
TRIES = 20  # draws of a fact before the dialogue makes do without it


def dialogue(language: str, rng: random.Random, **fields) -> Sample:
    """A synthetic sample with training values; `fields` are sample_id, level, split, grounded."""
    while True:
        sample = _Composer(language, rng).sample(**fields)
        if sample is not None:
            return sample


def _pick(options, rng: random.Random):
    return options[int(rng.random() * len(options))]


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
        self.talk = rng.randint(2, 7)  # sentences of small talk left

    def sample(self, **fields) -> Sample | None:
        """Draw facts, write the turns, put the questions."""
        for _ in range(self.rng.randint(5, 9)):
            self._add_fact()
        if len(self.facts) < 5:
            return None
        if self.rng.random() < 0.5:
            self.rng.shuffle(self.facts)
        speakers = {f"S{i}": name for i, name in enumerate(self.names)}
        self._write()
        values = {fact.slot: fact.value for fact in self.facts} | self._used(speakers)
        types = {fact.slot: fact.value_type for fact in self.facts}
        facts = [
            (fact.slot, self.pool.category[fact.value_type], self._statement(fact))
            for fact in self.facts
        ]
        asked = [Asked(f.value_type, self._question(f), (f.slot,)) for f in self.facts]
        asked += self._bridges() + self._pairs()
        return build(
            self.scene, values, facts, asked, types, skeleton_id="synthetic", **fields
        )

    def _used(self, speakers: dict[str, str]) -> dict[str, str]:
        return {slot: name for slot, name in speakers.items() if slot in self.scene.marks}

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
        keep = _pick(list(other.bound), self.rng).partition(".")[0] if other.bound else ""
        if keep == "P" and other.speaker is not None:
            return self._fresh(other.family, {}, {})
        kept = {k: v for k, v in other.bound.items() if k.partition(".")[0] == keep}
        slots = {k: v for k, v in other.slots.items() if k == keep}
        return self._fresh(other.family, kept, slots)

    def _bridging(self, first: Stated) -> Stated | None:
        variable = BRIDGED_BY[first.value_type]
        if not first.family.np or any(fact.bridge is first for fact in self.facts):
            return None
        family = _pick(self.frames.bridging[variable], self.rng)
        fact = self._fresh(family, {variable: first.value}, {variable: first.slot})
        if fact is not None and family.bridge_ask:
            fact.bridge = first
        return fact

    def _fresh(self, family: Family, bound: dict, slots: dict) -> Stated | None:
        rng, bound, before = self.rng, dict(bound), len(self.taken)
        speaker = None
        for variable, rule in family.bind:
            if variable in bound or f"{variable}.0" in bound:
                continue
            if isinstance(rule, list):
                for i, form in enumerate(_pick(rule, rng)):
                    bound[f"{variable}.{i}"] = form
            elif variable == "P" and family.me and (not family.say or rng.random() < 0.5):
                speaker = int(rng.random() * len(self.names))
                bound["P"] = self.names[speaker]
                slots = slots | {"P": f"S{speaker}"}
            else:
                bound[variable] = self._entity(rule)
        key = (family.topic, *(bound.get(k, bound.get(f"{k}.0")) for k in family.key))
        if key in self.keys or ("P" in bound and speaker is None and not family.say):
            del self.taken[before:]
            return None
        self.keys.add(key)
        value_type = _pick(family.types, rng)
        slot = f"V{len(self.facts)}"
        return Stated(slot, value_type, self._value(value_type), family, bound, slots, speaker)

    # Turns

    def _write(self) -> None:
        pending, last = list(self.facts), -1
        if self.rng.random() < 0.5:
            last = self._begin(last, None)
            self._say_one(self.frames.opener)
        while pending:
            fact = pending[0]
            if fact.speaker is None and self.rng.random() < 0.25 or fact.speaker == last:
                last = self._ask_in_dialogue(pending, last)
                continue
            last = self._begin(last, fact.speaker)
            self._chatter(0.3)
            self._state(pending.pop(0))
            for _ in range(2):
                follows = pending and pending[0].speaker in (None, last)
                if follows and self.rng.random() < 0.45:
                    self._chatter(0.15)
                    self._state(pending.pop(0))
            self._chatter(0.25)
        if self.rng.random() < 0.4:
            self._begin(last, None)
            self._say_one(self.frames.closer)

    def _begin(self, last: int, speaker: int | None) -> int:
        if speaker is None:
            others = [i for i in range(len(self.names)) if i != last]
            speaker = _pick(others, self.rng)
        self.scene.turn(self.names[speaker], f"S{speaker}")
        return speaker

    def _ask_in_dialogue(self, pending: list[Stated], last: int) -> int:
        """One speaker asks, another answers with little more than the value."""
        fact = pending.pop(0)
        others = [i for i in range(len(self.names)) if i not in (last, fact.speaker)]
        if not others:  # the one who spoke last must answer: let someone else say a word first
            others = [i for i in range(len(self.names)) if i != fact.speaker]
        asker = self._begin(-1, _pick(others, self.rng))
        self._chatter(0.3)
        self._sentence(_pick(fact.family.you if fact.speaker is not None and fact.family.you
                             else fact.family.cue, self.rng), fact)
        last = self._begin(asker, fact.speaker)
        self._sentence(_pick(fact.family.reply, self.rng), fact)
        if pending and pending[0].speaker in (None, last) and self.rng.random() < 0.5:
            self._state(pending.pop(0))
        self._chatter(0.2)
        return last

    def _state(self, fact: Stated) -> None:
        family = fact.family
        self._sentence(_pick(family.say if fact.speaker is None else family.me, self.rng), fact)

    def _chatter(self, chance: float) -> None:
        if self.talk > 0 and self.rng.random() < chance:
            self.talk -= 1
            self._say_one(self.frames.filler)

    def _say_one(self, lines: tuple[Nodes, ...]) -> None:
        self._sentence(_pick(lines, self.rng), None)

    def _sentence(self, nodes: Nodes, fact: Stated | None) -> None:
        out = self.scene.out
        # Only a space between sentences; none right after a speaker's label.
        if not self._at_turn_start():
            out.append(self.frames.space)
        begin = len(out)
        if fact is None:
            expand(nodes, self.rng, {}, out, {})
        else:
            bound = fact.bound | {"V": fact.value}
            self.scene.say(nodes, self.rng, bound, fact.slots | {"V": fact.slot})
        if out[begin] != (fact and fact.value):
            out[begin] = out[begin][:1].upper() + out[begin][1:]

    def _at_turn_start(self) -> bool:
        return self.scene.out[-1] in ("：", ": ")

    # Questions

    def _statement(self, fact: Stated) -> str:
        bound = fact.bound | {"V": fact.value}
        return text(_pick(fact.family.say or fact.family.me, self.rng), self.rng, bound)

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

    def _pairs(self) -> list[Asked]:
        asked = []
        for _ in range(int(self.rng.random() * (MAX_PAIRS + 1))):
            first, second = self.rng.sample(self.facts, 2)
            one, two = (self._question(fact).rstrip("?？") for fact in (first, second))
            bound = {"Q1": one, "Q2": two[:1].lower() + two[1:]}
            if two.split(" ")[0] not in ("What", "Who", "When", "Where", "Which", "How"):
                bound["Q2"] = two
            question = text(_pick(self.frames.pair, self.rng), self.rng, bound)
            asked.append(Asked("pair", question, (first.slot, second.slot)))
        return asked


def _capital(question: str) -> str:
    return question[:1].upper() + question[1:]
