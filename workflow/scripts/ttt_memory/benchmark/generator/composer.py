"""Write a synthetic dialogue of two or three speakers, and the questions about it."""

import random

from ..sample import TURN_SEPARATOR, Sample
from .draft import Draft, Question, build
from .families import BRIDGED_BY
from .fragments import SPEAKERS, PlacedFragment
from .grammar import Nodes, expand, pick, text
from .plan import Plan, PlannedFact

FRAGMENTS = (0, 0, 0, 1, 1, 1, 2, 2, 3)  # the number of fragments is one of these
MAX_PAIRS = 2  # questions for two facts at once
_NOTHING = ("",)
# A question that begins so goes on in lower case after another question.
_WH = ("What", "Who", "When", "Where", "Which", "How", "Whom", "By", "For", "At", "On", "To")


def dialogue(language: str, rng: random.Random, **fields) -> Sample:
    """A synthetic sample. None of its values is held out.

    `fields` are the sample's sample_id, level and split, and `grounded` as in `draft.build`.
    """
    while True:
        sample = _Composer(Plan(language, rng)).sample(**fields)
        if sample is not None:
            return sample


def _may_say(fact: PlannedFact, speaker: int) -> bool:
    """Whether `speaker` can state the fact. If it is about a speaker, its wording says who can."""
    if fact.speaker is None:
        return True
    return (fact.speaker != speaker) if fact.told else (fact.speaker == speaker)


class _Composer:
    def __init__(self, plan: Plan):
        self.plan = plan
        self.rng = plan.rng
        self.wording = plan.wording
        self.draft = Draft(plan.language)
        self.talk = self.rng.randint(2, 7)  # sentences of small talk left

    def sample(self, **fields) -> Sample | None:
        """Draw facts, write the turns and ask the questions. None if a question is ambiguous."""
        rng, plan = self.rng, self.plan
        wanted = rng.randint(5, 9)
        for _ in range(pick(FRAGMENTS, rng)):
            plan.add_fragment(wanted)
        while len(plan.facts) < wanted - plan.given():
            plan.add_fact()
        if rng.random() < 0.5:
            rng.shuffle(plan.facts)
        self._write()
        category = plan.pool.category
        facts = [(f.slot, category[f.value_type], self._statement(f)) for f in plan.facts]
        asked = [Question(f.value_type, self._question(f), (f.slot,)) for f in plan.facts]
        asked += self._bridges()
        values = {fact.slot: fact.value for fact in plan.facts}
        types = {fact.slot: fact.value_type for fact in plan.facts}
        for placed in plan.placed:
            facts += placed.facts(rng)
            asked += placed.asked(rng)
            slots = placed.slots()
            values |= {slots[name]: value for name, value in placed.values.items()}
            types |= {slots[name]: kind for name, kind in placed.fragment.slots.items()}
        for i, name in enumerate(plan.names):
            if f"S{i}" in self.draft.marks:
                values[f"S{i}"] = name
        asked += self._pairs([ask for ask in asked if ask.kind != "bridge"])
        return build(self.draft, values, facts, asked, types, skeleton_id="synthetic", **fields)

    # Turns

    def _write(self) -> None:
        """Write all facts as turns. A fact is stated, or one speaker asks and another answers."""
        pending, last = list(self.plan.facts), -1
        if self.rng.random() < 0.5:
            last = self._begin(self.plan.others(last))
            self._sentence(self.wording.opener)
        waiting = list(self.plan.placed)
        while pending or waiting:
            if waiting and (not pending or self.rng.random() < 0.3):
                last = self._place(waiting.pop(), last)
                continue
            fact = pending[0]
            able = [i for i in self.plan.others(last) if _may_say(fact, i)]
            askers = [i for i in self.plan.others(last) if i != fact.speaker]
            ask = askers and not fact.told and (not able or self.rng.random() < 0.25)
            if ask:
                last = self._ask_in_dialogue(pending, askers)
            elif able:
                last = self._begin(able)
                self._chatter(0.3)
                self._state(pending, last)
            else:  # only the last speaker can state it, so another speaks first
                last = self._begin(self.plan.others(last))
                self._sentence(self.wording.filler)
        if self.rng.random() < 0.4:
            self._begin(self.plan.others(last))
            self._sentence(self.wording.closer)

    def _place(self, placed: PlacedFragment, last: int) -> int:
        """Write a fragment's turns. If its first speaker spoke last, another speaks before it."""
        begins = placed.speakers[SPEAKERS.index(placed.fragment.turns[0][0])]
        if begins == last:
            self._begin(self.plan.others(last))
            self._sentence(self.wording.filler)
        return placed.write(self.draft, self.rng)

    def _begin(self, able: list[int]) -> int:
        """Begin the turn of one of the speakers `able`."""
        speaker = pick(able, self.rng)
        self.draft.turn(self.plan.names[speaker], f"S{speaker}")
        return speaker

    def _ask_in_dialogue(self, pending: list[PlannedFact], askers: list[int]) -> int:
        """One speaker asks for the next fact, and another answers with a short reply."""
        fact = pending.pop(0)
        asker = self._begin(askers)
        self._chatter(0.3)
        own = fact.speaker is not None and fact.family.you
        self._sentence(fact.family.you if own else fact.family.cue, fact)
        last = self._begin([i for i in self.plan.others(asker) if _may_say(fact, i)])
        self._sentence(fact.family.reply, fact)
        if pending and _may_say(pending[0], last) and self.rng.random() < 0.5:
            self._state(pending, last)
        return last

    def _state(self, pending: list[PlannedFact], speaker: int) -> None:
        """State the next fact and perhaps up to two more, each as a clause."""
        self._clause(pending.pop(0), fresh=True)
        for _ in range(2):
            if not (pending and _may_say(pending[0], speaker) and self.rng.random() < 0.45):
                break
            joined = self.rng.random() < 0.35
            self._put(self.wording.join if joined else self.wording.stop)
            if not joined:
                self._chatter(0.15)
            self._clause(pending.pop(0), fresh=not joined)
        self._put(self.wording.stop)
        self._chatter(0.25)

    def _clause(self, fact: PlannedFact, fresh: bool) -> None:
        family = fact.family
        own = family.thee if fact.told else family.me
        self._sentence(own if fact.speaker is not None else family.say, fact, fresh)

    def _chatter(self, chance: float) -> None:
        """With probability `chance`, write a sentence of small talk, if any is left."""
        if self.talk > 0 and self.rng.random() < chance:
            self.talk -= 1
            self._sentence(self.wording.filler)

    def _put(self, marks: tuple[Nodes, ...]) -> None:
        expand(pick(marks, self.rng), self.rng, {}, self.draft.out, {})

    def _sentence(
        self, options: tuple[Nodes, ...], fact: PlannedFact | None = None, fresh: bool = True
    ) -> None:
        """Append one of `options`; if `fresh`, as a new sentence (space, capital letter)."""
        out = self.draft.out
        if fresh and out[-1] != TURN_SEPARATOR[self.draft.language]:
            out.append(self.wording.space)
        begin = len(out)
        nodes = pick(options, self.rng)
        if fact is None:
            expand(nodes, self.rng, {}, out, {})
        else:
            self.draft.say(nodes, self.rng, self._bound(fact), fact.slots | {"V": fact.slot})
        # A value keeps its case at the beginning of a sentence too.
        if fresh and (fact is None or out[begin] != fact.value):
            out[begin] = out[begin][:1].upper() + out[begin][1:]

    def _bound(self, fact: PlannedFact) -> dict[str, str]:
        """The words of the variables of the fact's family, its value included."""
        before = pick(self.wording.at.get(fact.value_type, _NOTHING), self.rng)
        return fact.bound | {"V": fact.value, "AT": before}

    # Questions

    def _statement(self, fact: PlannedFact) -> str:
        return text(pick(fact.family.say or fact.family.me, self.rng), self.rng, self._bound(fact))

    def _question(self, fact: PlannedFact) -> str:
        return _capital(text(pick(fact.family.ask, self.rng), self.rng, fact.bound))

    def _bridges(self) -> list[Question]:
        asked = []
        for fact in self.plan.facts:
            first = fact.bridge
            if first is None:
                continue
            phrase = text(pick(first.family.np, self.rng), self.rng, first.bound)
            bound = fact.bound | {BRIDGED_BY[first.value_type]: phrase}
            question = text(pick(fact.family.bridge_ask, self.rng), self.rng, bound)
            asked.append(Question("bridge", _capital(question), (first.slot, fact.slot)))
        return asked

    def _pairs(self, single: list[Question]) -> list[Question]:
        """Questions for two facts at once, each made of two questions for one fact."""
        asked = []
        for _ in range(int(self.rng.random() * (MAX_PAIRS + 1))):
            first, second = self.rng.sample(single, 2)
            one, two = (ask.text.rstrip("?？.") for ask in (first, second))
            if two.split(" ")[0] in _WH:
                two = two[:1].lower() + two[1:]
            question = text(pick(self.wording.pair, self.rng), self.rng, {"Q1": one, "Q2": two})
            pair = Question("pair", question, first.slots + second.slots)
            # One question may contain the answer to the other. Then the pair is left out.
            if not any(self._value_of(slot) in question for slot in pair.slots):
                asked.append(pair)
        return asked

    def _value_of(self, slot: str) -> str:
        return self.draft.out[self.draft.marks[slot][0]]


def _capital(question: str) -> str:
    return question[:1].upper() + question[1:]
