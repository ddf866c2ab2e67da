"""Skeletons: hand-written dialogues with slots for values, and questions about these values.

Training uses those in `data/training_skeletons_<language>.yaml`. It never sees those in
`data/heldout_skeletons_<language>.yaml`. A skeleton is

    id: en-clinic
    slots: {a: given, b: given, physio: person, room: room}   # slot: type of its value
    turns:                                                    # [speaker, what is said]
      - [a, "<Morning|Hello>, {b}. Who sees you today?"]      # the speaker is a slot or a name
      - [b, "{physio}, in {room}."]
    facts:                                                    # stated where the value stands first
      - {slot: physio, text: "{b} is seen by {physio}", ask: ["Who sees {b} today?"]}
    compose:                                                  # questions that need two facts
      - {kind: bridge, slots: [physio, room], ask: ["..."]}
"""

import random
from dataclasses import dataclass
from functools import cache

from ...errors import UserError
from ..sample import Sample
from .draft import Draft, Question, build
from .grammar import VARIABLE, Grammar, Nodes, pick, text
from .values import Pools, load_yaml, pools

MIN_FACTS, MAX_FACTS = 5, 10


@dataclass(frozen=True, slots=True)
class SkeletonFact:
    """A fact: its slot, its statement, and the questions that ask for its value."""

    slot: str
    text: Nodes
    ask: tuple[Nodes, ...]


@dataclass(frozen=True, slots=True)
class Composition:
    """Questions that need the facts of two slots."""

    kind: str  # "bridge" or "pair"
    slots: tuple[str, str]
    ask: tuple[Nodes, ...]


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A compiled skeleton; the docstring of this module describes its parts."""

    skeleton_id: str
    language: str
    slots: dict[str, str]
    turns: tuple[tuple[str, Nodes], ...]
    facts: tuple[SkeletonFact, ...]
    compose: tuple[Composition, ...]
    words: str  # all that is said, as written in the file

    def fill(self, heldout: bool, levels: tuple[int, ...], rng: random.Random, **fields) -> Sample:
        """A sample with newly drawn values, all of them held out or none.

        `levels` (1, 2) says which probes it has: of one fact, of two, or both. `fields` are the
        sample's sample_id, level and split, and `grounded` as in `draft.build`.
        """
        while True:
            sample = self._draw(pools(self.language), heldout, levels, rng, **fields)
            if sample is not None:
                return sample

    def _draw(
        self, pool: Pools, heldout: bool, levels: tuple, rng: random.Random, **fields
    ) -> Sample | None:
        values: dict[str, str] = {}
        for slot, value_type in self.slots.items():
            values[slot] = pool.draw(value_type, heldout, rng, list(values.values()))
        draft = Draft(self.language)
        itself = {slot: slot for slot in self.slots}
        for speaker, words in self.turns:
            draft.turn(values.get(speaker, speaker), speaker if speaker in values else None)
            draft.say(words, rng, values, itself)
        facts = [
            (fact.slot, pool.category[self.slots[fact.slot]], text(fact.text, rng, values))
            for fact in self.facts
        ]
        asked = []
        if 1 in levels:
            for fact in self.facts:
                question = text(pick(fact.ask, rng), rng, values)
                asked.append(Question(self.slots[fact.slot], question, (fact.slot,)))
        if 2 in levels:
            for pair in self.compose:
                asked.append(
                    Question(pair.kind, text(pick(pair.ask, rng), rng, values), pair.slots)
                )
        return build(
            draft, values, facts, asked, self.slots, skeleton_id=self.skeleton_id, **fields
        )


@cache
def skeletons(language: str, held_out: bool = False) -> tuple[Skeleton, ...]:
    """The training skeletons of `language`, or the held-out ones.

    Raises:
        UserError: a skeleton is malformed; the message names the file, the skeleton and the key.
    """
    name = f"{'heldout' if held_out else 'training'}_skeletons_{language}.yaml"
    entries = load_yaml(name)
    grammar = pools(language).grammar
    made = tuple(compile_skeleton(entry, language, grammar, name) for entry in entries)
    if len({skeleton.skeleton_id for skeleton in made}) < len(made):
        raise UserError(f"{name}: two skeletons have the same id, expected unique ids")
    for skeleton in made:
        if not MIN_FACTS <= len(skeleton.facts) <= MAX_FACTS:
            count = len(skeleton.facts)
            raise UserError(
                f"{name}: skeleton {skeleton.skeleton_id!r} has {count} facts, expected"
                f" {MIN_FACTS} to {MAX_FACTS}"
            )
    return made


def compile_skeleton(entry: dict, language: str, grammar: Grammar, name: str) -> Skeleton:
    """Compile and check the skeleton `entry` of the file `name`.

    Raises:
        UserError: it is malformed; the message names the file, the skeleton and the key.
    """
    where = f"{name}: skeleton {entry.get('id')!r}"
    for key in ("id", "slots", "turns", "facts", "compose"):
        if key not in entry:
            raise UserError(f"{where}: key {key!r} is missing")
    slots = entry["slots"]
    unknown = set(slots.values()) - set(pools(language).category)
    if unknown:
        raise UserError(f"{where}: unknown value type {min(unknown)!r}")
    try:
        turns = tuple((turn[0], grammar.compile(turn[1], slots)) for turn in entry["turns"])
        facts = tuple(_compile_fact(fact, slots, grammar) for fact in entry["facts"])
        compose = tuple(_compile_composition(pair, slots, grammar) for pair in entry["compose"])
    except (KeyError, TypeError, UserError) as error:
        raise UserError(f"{where}: {error}") from error
    _check(where, slots, facts, compose)
    words = "\n".join(turn[1] for turn in entry["turns"])
    return Skeleton(entry["id"], language, slots, turns, facts, compose, words)


def _compile_fact(entry: dict, slots: dict, grammar: Grammar) -> SkeletonFact:
    ask = tuple(grammar.compile(question, slots) for question in entry["ask"])
    return SkeletonFact(entry["slot"], grammar.compile(entry["text"], slots), ask)


def _compile_composition(entry: dict, slots: dict, grammar: Grammar) -> Composition:
    ask = tuple(grammar.compile(question, slots) for question in entry["ask"])
    return Composition(entry["kind"], tuple(entry["slots"]), ask)


def _check(where: str, slots: dict, facts: tuple, compose: tuple) -> None:
    stated = {fact.slot for fact in facts}
    if len(stated) < len(facts):
        raise UserError(f"{where}: two facts have the same slot, expected a slot for each")
    for item in (*facts, *compose):
        wanted = (item.slot,) if isinstance(item, SkeletonFact) else item.slots
        if not set(wanted) <= (stated & set(slots)):
            raise UserError(
                f"{where}: found slots {wanted}, expected slots that have a fact and a type"
            )
        for question in item.ask:
            named = {payload for kind, payload in question if kind == VARIABLE}
            if wanted[-1] in named or (len(wanted) == 2 and wanted[0] in named):
                raise UserError(f"{where}: a question about {wanted} contains a value it hides")
        if not item.ask:
            raise UserError(f"{where}: no question about {wanted}")
    for pair in compose:
        if pair.kind not in ("bridge", "pair") or len(set(pair.slots)) != 2:
            raise UserError(
                f"{where}: found composition {pair.kind!r} of {pair.slots}, expected 'bridge' or"
                " 'pair' of two different slots"
            )
