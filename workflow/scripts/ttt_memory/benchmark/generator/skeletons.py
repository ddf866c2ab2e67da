"""Skeletons: hand-written dialogues with slots for values, and questions about these values.

Training uses those in `data/training_skeletons_<language>.yaml`. It never sees those in
`data/heldout_skeletons_<language>.yaml`, and it never sees a wording under `ask_new`. A skeleton is

    id: en-clinic
    slots: {a: given, b: given, physio: person, room: room}   # slot: type of its value
    turns:                                                    # [speaker, what is said]
      - [a, "<Morning|Hello>, {b}. Who sees you today?"]      # the speaker is a slot or a name
      - [b, "{physio}, in {room}."]
    facts:                                                    # stated where the value stands first
      - slot: room
        text: "{b} is seen in {room}"
        ask: ["In which room is {b} seen?", ...]              # at least three wordings
        ask_new: ["Any idea where {b} has to go?"]            # wordings that training never shows
        change: ["You are not seen there, {b}, but in {room}."]   # may be left out: a new value
    compose:                                                  # questions that need two facts
      - {kind: bridge, slots: [physio, room], ask: ["..."], ask_new: ["..."]}
    missing:                                                  # questions that nothing answers
      - {ask: ["What does the visit cost?"], ask_new: ["..."]}
    same_kind: true   # may be left out: the speakers tell facts of the same types about themselves
"""

from dataclasses import dataclass
from functools import cache

from ...errors import UserError
from ..sample import UNANSWERABLE
from .grammar import Grammar, Nodes, named
from .values import load_yaml, pools

MIN_FACTS, MAX_FACTS = 5, 10
FEWEST_WORDINGS = 3  # of a question of a fact that training shows
FEWEST_CHANGES = 3  # facts of a skeleton with sentences that change them
FEWEST_MISSING = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """The wordings of a question about the facts in `slots`; `new` ones are never trained on.

    `kind` is the type of the value, `bridge`, `pair`, or `unanswerable` (without slots).
    """

    kind: str
    slots: tuple[str, ...]
    ask: tuple[Nodes, ...]
    new: tuple[Nodes, ...]

    def wordings(self, new: bool) -> tuple[Nodes, ...]:
        """The wordings that training shows, or the new ones."""
        return self.new if new else self.ask


@dataclass(frozen=True, slots=True)
class SkeletonFact:
    """A fact: its slot, its statement, and sentences that state a new value."""

    slot: str
    text: Nodes
    change: tuple[Nodes, ...]


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A compiled skeleton; the docstring of this module describes its parts."""

    skeleton_id: str
    language: str
    slots: dict[str, str]
    turns: tuple[tuple[str, Nodes], ...]
    facts: tuple[SkeletonFact, ...]
    single: tuple[Asked, ...]
    compose: tuple[Asked, ...]
    missing: tuple[Asked, ...]
    same_kind: bool
    words: str  # all that is said, as written in the file

    def speakers(self) -> list[str]:
        """The speakers, in the order in which they speak first."""
        return list(dict.fromkeys(speaker for speaker, _ in self.turns))

    @property
    def has_pair(self) -> bool:
        """Whether at least two speakers have names that are drawn."""
        return sum(speaker in self.slots for speaker in self.speakers()) > 1


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
        _check_counts(f"{name}: skeleton {skeleton.skeleton_id!r}", skeleton)
    return made


def _check_counts(where: str, skeleton: Skeleton) -> None:
    """Whether there are enough facts, wordings, changes and questions that nothing answers."""
    facts = len(skeleton.facts)
    if not MIN_FACTS <= facts <= MAX_FACTS:
        raise UserError(f"{where} has {facts} facts, expected {MIN_FACTS} to {MAX_FACTS}")
    for item in skeleton.single:
        if len(item.ask) < FEWEST_WORDINGS:
            raise UserError(
                f"{where}: {len(item.ask)} questions under `ask` about {item.slots}, expected at"
                f" least {FEWEST_WORDINGS}"
            )
    for item in (*skeleton.single, *skeleton.compose, *skeleton.missing):
        if not item.new:
            raise UserError(f"{where}: no question under `ask_new` about {item.slots}")
    for key, found, fewest in (
        ("facts with `change`", sum(bool(f.change) for f in skeleton.facts), FEWEST_CHANGES),
        ("entries under `missing`", len(skeleton.missing), FEWEST_MISSING),
    ):
        if found < fewest:
            raise UserError(f"{where}: {found} {key}, expected at least {fewest}")


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

    def lines(given: dict, key: str) -> tuple[Nodes, ...]:
        return tuple(grammar.compile(line, slots) for line in given.get(key, ()))

    def asked(given: dict, kind: str, about: list[str]) -> Asked:
        return Asked(kind, tuple(about), lines(given, "ask"), lines(given, "ask_new"))

    try:
        skeleton = Skeleton(
            skeleton_id=entry["id"],
            language=language,
            slots=slots,
            turns=tuple((turn[0], grammar.compile(turn[1], slots)) for turn in entry["turns"]),
            facts=tuple(
                SkeletonFact(
                    fact["slot"], grammar.compile(fact["text"], slots), lines(fact, "change")
                )
                for fact in entry["facts"]
            ),
            single=tuple(
                asked(fact, slots[fact["slot"]], [fact["slot"]]) for fact in entry["facts"]
            ),
            compose=tuple(asked(pair, pair["kind"], pair["slots"]) for pair in entry["compose"]),
            missing=tuple(asked(given, UNANSWERABLE, []) for given in entry.get("missing", ())),
            same_kind=entry.get("same_kind", False),
            words="\n".join(turn[1] for turn in entry["turns"]),
        )
    except (KeyError, TypeError, UserError) as error:
        raise UserError(f"{where}: {error}") from error
    _check(where, skeleton)
    return skeleton


def _check(where: str, skeleton: Skeleton) -> None:
    stated = {fact.slot for fact in skeleton.facts}
    if len(stated) < len(skeleton.facts):
        raise UserError(f"{where}: two facts have the same slot, expected a slot for each")
    for item in (*skeleton.single, *skeleton.compose, *skeleton.missing):
        if not set(item.slots) <= (stated & set(skeleton.slots)):
            raise UserError(
                f"{where}: found slots {item.slots}, expected slots that have a fact and a type"
            )
        if not item.ask:
            raise UserError(f"{where}: no question about {item.slots}")
        for question in (*item.ask, *item.new):
            if named(question) & set(item.slots):
                raise UserError(f"{where}: a question about {item.slots} contains a value it hides")
    for pair in skeleton.compose:
        if pair.kind not in ("bridge", "pair") or len(set(pair.slots)) != 2:
            raise UserError(
                f"{where}: found composition {pair.kind!r} of {pair.slots}, expected 'bridge' or"
                " 'pair' of two different slots"
            )
    for fact in skeleton.facts:
        if any(fact.slot not in named(sentence) for sentence in fact.change):
            raise UserError(f"{where}: a change of {fact.slot!r} does not state its new value")
