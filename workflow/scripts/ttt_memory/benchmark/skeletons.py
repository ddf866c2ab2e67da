"""Skeletons: hand-written dialogues with typed slots, and what is asked about them.

`data/skeletons_<language>.yaml` holds those used in training, `data/heldout_<language>.yaml`
those that training never sees. A skeleton is

    id: en-clinic
    slots: {a: given, b: given, physio: person, room: room}   # slot: value type
    turns:
      - [a, "<Morning|Hello>, {b}. Who sees you today?"]      # speaker (a slot or a label), words
      - [b, "{physio}, in {room}."]
    facts:                                                    # the value's first mention states it
      - {slot: physio, text: "{b} is seen by {physio}", ask: ["Who sees {b} today?"]}
    compose:
      - {kind: bridge, slots: [physio, room], ask: ["..."]}
"""

import random
from dataclasses import dataclass
from functools import cache

from ..errors import UserError
from .grammar import Grammar, Nodes, text
from .sample import Sample
from .scene import Asked, Scene, build
from .values import Pools, load_yaml, pools

MIN_FACTS, MAX_FACTS = 5, 10


@dataclass(frozen=True, slots=True)
class SkeletonFact:
    slot: str
    text: Nodes
    ask: tuple[Nodes, ...]


@dataclass(frozen=True, slots=True)
class Composition:
    kind: str  # "bridge" or "pair"
    slots: tuple[str, str]
    ask: tuple[Nodes, ...]


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A compiled skeleton."""

    skeleton_id: str
    language: str
    slots: dict[str, str]
    turns: tuple[tuple[str, Nodes], ...]
    facts: tuple[SkeletonFact, ...]
    compose: tuple[Composition, ...]
    words: str  # all its utterances as written, slots and all

    def fill(self, part: bool, levels: tuple[int, ...], rng: random.Random, **fields) -> Sample:
        """A sample with fresh values, all held out if `part`, and the probes of `levels` (1, 2).

        `fields` are sample_id, level, split, and grounded (whether to work out groundings).
        """
        while True:
            sample = self._draw(pools(self.language), part, levels, rng, **fields)
            if sample is not None:
                return sample

    def _draw(self, pool: Pools, part: bool, levels: tuple, rng: random.Random, **fields):
        values: dict[str, str] = {}
        for slot, value_type in self.slots.items():
            values[slot] = pool.draw(value_type, part, rng, list(values.values()))
        scene = Scene(self.language)
        itself = {slot: slot for slot in self.slots}
        for speaker, words in self.turns:
            scene.turn(values.get(speaker, speaker), speaker if speaker in values else None)
            scene.say(words, rng, values, itself)
        facts = [
            (fact.slot, pool.category[self.slots[fact.slot]], text(fact.text, rng, values))
            for fact in self.facts
        ]
        asked = []
        if 1 in levels:
            for fact in self.facts:
                question = text(_pick(fact.ask, rng), rng, values)
                asked.append(Asked(self.slots[fact.slot], question, (fact.slot,)))
        if 2 in levels:
            for pair in self.compose:
                asked.append(Asked(pair.kind, text(_pick(pair.ask, rng), rng, values), pair.slots))
        return build(
            scene, values, facts, asked, self.slots, skeleton_id=self.skeleton_id, **fields
        )


def _pick(options: tuple, rng: random.Random):
    return options[int(rng.random() * len(options))]


@cache
def skeletons(language: str, held_out: bool = False) -> tuple[Skeleton, ...]:
    """The training or the held-out skeletons of `language`.

    Raises:
        UserError: a skeleton is malformed; the message names the file, the skeleton and the key.
    """
    name = f"{'heldout' if held_out else 'skeletons'}_{language}.yaml"
    entries = load_yaml(name)
    grammar = pools(language).grammar
    made = tuple(compile_skeleton(entry, language, grammar, name) for entry in entries)
    if len({skeleton.skeleton_id for skeleton in made}) < len(made):
        raise UserError(f"{name}: two skeletons have one id")
    for skeleton in made:
        if not MIN_FACTS <= len(skeleton.facts) <= MAX_FACTS:
            count = len(skeleton.facts)
            raise UserError(
                f"{name}: skeleton {skeleton.skeleton_id!r} has {count} facts, not 5-10"
            )
    return made


def compile_skeleton(entry: dict, language: str, grammar: Grammar, name: str) -> Skeleton:
    """Compile and check one skeleton of the file `name`."""
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
        raise UserError(f"{where}: two facts have one slot; expected each of its own")
    for item in (*facts, *compose):
        wanted = (item.slot,) if isinstance(item, SkeletonFact) else item.slots
        if not set(wanted) <= (stated & set(slots)):
            raise UserError(f"{where}: {wanted} are not all stated facts with a typed slot")
        for question in item.ask:
            named = {payload for kind, payload in question if kind == 1}
            if wanted[-1] in named or (len(wanted) == 2 and wanted[0] in named):
                raise UserError(f"{where}: a question about {wanted} contains its own answer")
        if not item.ask:
            raise UserError(f"{where}: no question about {wanted}")
    for pair in compose:
        if pair.kind not in ("bridge", "pair") or len(set(pair.slots)) != 2:
            raise UserError(f"{where}: composition {pair.kind!r} of {pair.slots} is malformed")
