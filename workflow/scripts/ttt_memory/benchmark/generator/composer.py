"""A synthetic dialogue of two or three speakers, composed fact by fact, and its questions."""

from dataclasses import replace

from ..sample import TURN_SEPARATOR, UNANSWERABLE
from .draft import Draft, FactLine, Question
from .families import BRIDGED_BY
from .filled import Filled
from .frames import continued
from .grammar import Nodes, expand, pick, text
from .plan import Plan, PlannedFact

FRAGMENTS = (0, 0, 0, 1, 1, 1, 2, 2, 3)  # the number of fragments is one of these
FACTS = (5, 9)  # the fewest and the most facts of a dialogue
MAX_PAIRS = 2  # questions for two facts at once
_NOTHING = ("",)


def planned(plan: Plan, facts: tuple[int, int]) -> Plan:
    """Draw the fragments and facts of `plan`, the fewest and most of which are given."""
    wanted = plan.rng.randint(*facts)
    for _ in range(pick(FRAGMENTS, plan.rng)):
        plan.add_fragment(wanted)
    while len(plan.facts) < wanted - plan.given():
        plan.add_fact()
    return plan


def _may_say(fact: PlannedFact, speaker: int) -> bool:
    """Whether `speaker` can state the fact. If it is about a speaker, its wording says who can."""
    if fact.speaker is None:
        return True
    return (fact.speaker != speaker) if fact.told else (fact.speaker == speaker)


class Composed:
    """The dialogue of a plan. A sample may hold several; the methods are those of `Filled`."""

    def __init__(self, plan: Plan):
        self.plan, self.draft = plan, Draft(plan.language)
        self.rng, self.wording = plan.rng, plan.wording
        self.talk = self.rng.randint(2, 7)  # sentences of small talk left

    @property
    def speakers(self) -> list[tuple[str, str | None]]:
        """The name of each speaker, and its slot in the draft."""
        plan = self.plan
        return [(name, plan.speaker_slot(i)) for i, name in enumerate(plan.names)]

    def drafted(self) -> tuple[dict[str, str], dict[str, str]]:
        """The value and the type of each slot of the draft."""
        values = {slot: name for name, slot in self.speakers}
        types = dict.fromkeys(values, "given")
        values |= {fact.slot: fact.value for fact in self.plan.facts}
        types |= {fact.slot: fact.value_type for fact in self.plan.facts}
        for placed in self.plan.placed:
            more_values, more_types = placed.drafted()
            values, types = values | more_values, types | more_types
        return values, types

    def facts(self) -> list[FactLine]:
        """The facts, by the draft's slots."""
        made = [self._fact(fact) for fact in self.plan.facts]
        return made + [fact for placed in self.plan.placed for fact in placed.facts()]

    def _fact(self, fact: PlannedFact) -> FactLine:
        said = pick(fact.family.say or fact.family.me, self.rng)
        category = self.plan.pool.category[fact.value_type]
        return fact.slot, category, text(said, self.rng, self._bound(fact))

    # Turns

    def write(self, draft: Draft) -> int:
        """Write all facts as turns, and return the number of the last speaker.

        A fact is stated, or one speaker asks and another answers.
        """
        self.draft = draft
        pending, last = list(self.plan.facts), -1
        if self.rng.random() < 0.5:
            self.rng.shuffle(pending)
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
            last = self._begin(self.plan.others(last))
            self._sentence(self.wording.closer)
        return last

    def _place(self, placed: Filled, last: int) -> int:
        """Write a fragment's turns. If its first speaker spoke last, another speaks before it."""
        turns = placed.skeleton.turns
        first, final = (self.plan.names.index(placed.values[turns[i][0]]) for i in (0, -1))
        if first == last:
            self._begin(self.plan.others(last))
            self._sentence(self.wording.filler)
        placed.write(self.draft)
        return final

    def _begin(self, able: list[int]) -> int:
        """Begin the turn of one of the speakers `able`."""
        speaker = pick(able, self.rng)
        self.draft.turn(self.plan.names[speaker], self.plan.speaker_slot(speaker))
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
        out, space = self.draft.out, self.wording.space
        if fresh and not out[-1].endswith((TURN_SEPARATOR[self.draft.language], " ")):
            out.append(space)
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

    def asked(self) -> list[Question]:
        """A question for each fact, for facts about values of others, and for some pairs."""
        single = [self._question(fact) for fact in self.plan.facts]
        double = self._bridges()
        for placed in self.plan.placed:
            single += placed.asked(levels=(1,))
            double += placed.asked(levels=(2,))
        return single + double + self._pairs(single)

    def missing(self) -> list[Question]:
        """A question that nothing answers; it has a word in common with one that is answered."""
        fact = self.plan.near_miss()
        return [] if fact is None else [self.unanswered(fact)]

    def unanswered(self, fact: PlannedFact) -> Question:
        """The question for a fact that nobody states."""
        return replace(self._question(fact), kind=UNANSWERABLE, slots=())

    def _question(self, fact: PlannedFact) -> Question:
        question = _capital(text(pick(fact.family.ask, self.rng), self.rng, fact.bound))
        noun = fact.family.np and text(pick(fact.family.np, self.rng), self.rng, fact.bound)
        return Question(fact.value_type, question, (fact.slot,), noun=noun or None)

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
        values, _ = self.drafted()
        for _ in range(int(self.rng.random() * (MAX_PAIRS + 1))):
            first, second = self.rng.sample(single, 2)
            one, two = (ask.text.rstrip("?？.") for ask in (first, second))
            two = continued(second.text) or two
            question = text(pick(self.wording.pair, self.rng), self.rng, {"Q1": one, "Q2": two})
            pair = Question("pair", question, first.slots + second.slots)
            # One question may contain the answer to the other. Then the pair is left out.
            if not any(values[slot] in question for slot in pair.slots):
                asked.append(pair)
        return asked

    # Changes

    def changeable(self) -> list[str]:
        """The slots of the facts that no other fact is about."""
        about = {slot for fact in self.plan.facts for slot in fact.slots.values()}
        return [fact.slot for fact in self.plan.facts if fact.slot not in about]

    def able(self, drafted: str) -> list[int]:
        """The speakers who can state the fact of a slot."""
        fact = self._planned(drafted)
        return [i for i in range(len(self.plan.names)) if _may_say(fact, i)]

    def change(self, draft: Draft, drafted: str, new_slot: str, value: str) -> FactLine:
        """Say that a slot has a new value, and return the new fact."""
        fact = replace(self._planned(drafted), slot=new_slot, value=value)
        self._clause(fact, fresh=True)
        self._put(self.wording.stop)
        return self._fact(fact)

    def _planned(self, drafted: str) -> PlannedFact:
        return next(fact for fact in self.plan.facts if fact.slot == drafted)


def _capital(question: str) -> str:
    return question[:1].upper() + question[1:]
