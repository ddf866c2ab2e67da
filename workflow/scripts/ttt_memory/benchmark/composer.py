"""Arrange synthetic facts into a dialogue of two or three speakers, and ask about them."""

import random

from .draws import Draws, Stated, pick
from .fragments import SPEAKERS, Placed
from .grammar import Nodes, expand, text
from .sample import TURN_SEPARATOR, Sample
from .scene import Asked, Scene, build
from .synthetic import BRIDGED_BY

FRAGMENTS = (0, 0, 0, 1, 1, 1, 2, 2, 3)  # how many fragments a dialogue has, equally likely
MAX_PAIRS = 2
_NOTHING = ("",)
_WH = ("What", "Who", "When", "Where", "Which", "How", "Whom", "By", "For", "At", "On", "To")


def dialogue(language: str, rng: random.Random, **fields) -> Sample:
    """A synthetic sample with training values; `fields` are sample_id, level, split, grounded."""
    while True:
        sample = _Composer(Draws(language, rng)).sample(**fields)
        if sample is not None:
            return sample


def _may_say(fact: Stated, speaker: int) -> bool:
    if fact.speaker is None:
        return True
    return (fact.speaker != speaker) if fact.told else (fact.speaker == speaker)


class _Composer:
    def __init__(self, draws: Draws):
        self.draws = draws
        self.rng = draws.rng
        self.frames = draws.frames
        self.scene = Scene(draws.language)
        self.talk = self.rng.randint(2, 7)  # sentences of small talk left

    def sample(self, **fields) -> Sample | None:
        """Draw facts, write the turns, put the questions."""
        rng, draws = self.rng, self.draws
        wanted = rng.randint(5, 9)
        for _ in range(pick(FRAGMENTS, rng)):
            draws.add_fragment(wanted)
        while len(draws.facts) < wanted - draws.given():
            draws.add_fact()
        if rng.random() < 0.5:
            rng.shuffle(draws.facts)
        self._write()
        category = draws.pool.category
        facts = [(f.slot, category[f.value_type], self._statement(f)) for f in draws.facts]
        asked = [Asked(f.value_type, self._question(f), (f.slot,)) for f in draws.facts]
        asked += self._bridges()
        values = {fact.slot: fact.value for fact in draws.facts}
        types = {fact.slot: fact.value_type for fact in draws.facts}
        for placed in draws.placed:
            facts += placed.facts(rng)
            asked += placed.asked(rng)
            slots = placed.slots()
            values |= {slots[name]: value for name, value in placed.values.items()}
            types |= {slots[name]: kind for name, kind in placed.fragment.slots.items()}
        for i, name in enumerate(draws.names):
            if f"S{i}" in self.scene.marks:
                values[f"S{i}"] = name
        asked += self._pairs([ask for ask in asked if ask.kind != "bridge"])
        return build(self.scene, values, facts, asked, types, skeleton_id="synthetic", **fields)

    # Turns

    def _write(self) -> None:
        """Put all facts into turns: stated, or asked for by one speaker and given by another."""
        pending, last = list(self.draws.facts), -1
        if self.rng.random() < 0.5:
            last = self._begin(self.draws.others(last))
            self._sentence(self.frames.opener)
        waiting = list(self.draws.placed)
        while pending or waiting:
            if waiting and (not pending or self.rng.random() < 0.3):
                last = self._place(waiting.pop(), last)
                continue
            fact = pending[0]
            able = [i for i in self.draws.others(last) if _may_say(fact, i)]
            askers = [i for i in self.draws.others(last) if i != fact.speaker]
            ask = askers and not fact.told and (not able or self.rng.random() < 0.25)
            if ask:
                last = self._ask_in_dialogue(pending, askers)
            elif able:
                last = self._begin(able)
                self._chatter(0.3)
                self._state(pending, last)
            else:  # only the one who spoke last can say it: let another speak first
                last = self._begin(self.draws.others(last))
                self._sentence(self.frames.filler)
        if self.rng.random() < 0.4:
            self._begin(self.draws.others(last))
            self._sentence(self.frames.closer)

    def _place(self, placed: Placed, last: int) -> int:
        """Write a fragment's turns, after a word from another if its first speaker just spoke."""
        begins = placed.speakers[SPEAKERS.index(placed.fragment.turns[0][0])]
        if begins == last:
            self._begin(self.draws.others(last))
            self._sentence(self.frames.filler)
        return placed.write(self.scene, self.rng)

    def _begin(self, able: list[int]) -> int:
        speaker = pick(able, self.rng)
        self.scene.turn(self.draws.names[speaker], f"S{speaker}")
        return speaker

    def _ask_in_dialogue(self, pending: list[Stated], askers: list[int]) -> int:
        """One speaker asks, another answers with little more than the value."""
        fact = pending.pop(0)
        asker = self._begin(askers)
        self._chatter(0.3)
        own = fact.speaker is not None and fact.family.you
        self._sentence(fact.family.you if own else fact.family.cue, fact)
        last = self._begin([i for i in self.draws.others(asker) if _may_say(fact, i)])
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
        expand(pick(marks, self.rng), self.rng, {}, self.scene.out, {})

    def _sentence(
        self, frames_: tuple[Nodes, ...], fact: Stated | None = None, fresh: bool = True
    ) -> None:
        """Append one of `frames_`; `fresh`: after a space if need be, with a capital letter."""
        out = self.scene.out
        if fresh and out[-1] != TURN_SEPARATOR[self.scene.language]:
            out.append(self.frames.space)
        begin = len(out)
        nodes = pick(frames_, self.rng)
        if fact is None:
            expand(nodes, self.rng, {}, out, {})
        else:
            self.scene.say(nodes, self.rng, self._bound(fact), fact.slots | {"V": fact.slot})
        # A value keeps its case, wherever it stands.
        if fresh and (fact is None or out[begin] != fact.value):
            out[begin] = out[begin][:1].upper() + out[begin][1:]

    def _bound(self, fact: Stated) -> dict[str, str]:
        before = pick(self.frames.at.get(fact.value_type, _NOTHING), self.rng)
        return fact.bound | {"V": fact.value, "AT": before}

    # Questions

    def _statement(self, fact: Stated) -> str:
        return text(pick(fact.family.say or fact.family.me, self.rng), self.rng, self._bound(fact))

    def _question(self, fact: Stated) -> str:
        return _capital(text(pick(fact.family.ask, self.rng), self.rng, fact.bound))

    def _bridges(self) -> list[Asked]:
        asked = []
        for fact in self.draws.facts:
            first = fact.bridge
            if first is None:
                continue
            phrase = text(pick(first.family.np, self.rng), self.rng, first.bound)
            bound = fact.bound | {BRIDGED_BY[first.value_type]: phrase}
            question = text(pick(fact.family.bridge_ask, self.rng), self.rng, bound)
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
            question = text(pick(self.frames.pair, self.rng), self.rng, {"Q1": one, "Q2": two})
            pair = Asked("pair", question, first.slots + second.slots)
            # One question may name the other's answer: such a pair would give it away.
            if not any(self._value_of(slot) in question for slot in pair.slots):
                asked.append(pair)
        return asked

    def _value_of(self, slot: str) -> str:
        return self.scene.out[self.scene.marks[slot][0]]


def _capital(question: str) -> str:
    return question[:1].upper() + question[1:]
