"""The content files of distractors: their layout, and the checks when they are read.

A file `<language>_<split>.yaml` holds

    lexicons:                       # word lists for all topics of the file
      speaker: [Ada, Bruno, ...]    # names of the speakers of chats
    topics:
      tides:
        style: encyclopaedia        # one of STYLES
        once: [bay]                 # optional: lexicons that give one entry per paragraph
        lexicons: {bay: [...], ...} # at least six entries each; entries may contain slots
        sentences: |                # one pattern per line
          In {bay} the water rises {3-12} metres.

Slots: `{name}` gives an entry of a lexicon, `{Name}` the same with a capital letter, `{3-12}` a
whole number, `{10-90/5}` one in steps of 5. A lexicon that occurs twice in a line gives two
different entries. In topics of style `chat` a line is an exchange of two speakers. Its turns are
separated by ` // ` and become lines `Name: utterance`.
"""

import random
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from ...errors import UserError
from ..sample import LANGUAGES, TURN_SEPARATOR
from .patterns import Lexicon, Number, Pattern, Slot, Unit

SPLITS = ("train", "heldout")
STYLES = ("encyclopaedia", "news", "lecture", "essay", "steps", "manual", "diary", "chat")
ORDERED = ("steps", "manual", "diary", "chat")
FEWEST_OPTIONS = 6  # entries of a lexicon
FEWEST_SENTENCES = 10  # of a topic
LONGEST_SENTENCE = 60  # proxy tokens
SHORTEST_PASSAGE = 30  # proxy tokens
TURN = " // "
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C version is ten times as fast
SENTENCE_END = re.compile(r"[.!?。！？…][\"'”’」』）)]*$")
_SLOT = re.compile(r"\{([^{}]*)\}")
_NUMBER = re.compile(r"(\d+)-(\d+)(?:/(\d+))?")


@dataclass(frozen=True)
class Topic:
    """A topic, with its own lexicons and its sentence patterns or exchanges."""

    name: str
    style: str
    once: tuple[str, ...]
    lexicons: dict[str, Lexicon]
    units: tuple[Unit, ...]

    @property
    def is_chat(self) -> bool:
        return self.style == "chat"

    @property
    def is_ordered(self) -> bool:
        return self.style in ORDERED


@dataclass(frozen=True)
class Content:
    """A content file, read and checked."""

    shared: dict[str, Lexicon]
    topics: dict[str, Topic]

    def speakers(self, rng: random.Random) -> tuple[str, ...]:
        """Two or three different names."""
        names: list[str] = []
        for _ in range(rng.choice((2, 2, 3))):
            name = self.shared["speaker"].draw(rng)
            while name in names:
                name = self.shared["speaker"].draw(rng)
            names.append(name)
        return tuple(names)


@cache
def load(language: str, split: str) -> Content:
    """The content of a language and split, read and checked once per process.

    Raises:
        UserError: language or split is unknown, or the file is malformed (names file and topic).
    """
    if language not in LANGUAGES:
        raise UserError(f"distractor language {language!r}: expected one of {LANGUAGES}")
    if split not in SPLITS:
        raise UserError(f"distractor split {split!r}: expected one of {SPLITS}")
    return read(Path(__file__).with_name(f"{language}_{split}.yaml"), language)


def read(path: Path, language: str) -> Content:
    """Read and check one content file.

    Raises:
        UserError: it is malformed; names the file, the topic, the line and what was expected.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not readable as YAML ({error})") from error
    raw = _mapping(raw, f"{path}", ("lexicons", "topics"))
    shared = _lexicons(raw["lexicons"], {}, f"{path}: lexicons")
    if "speaker" not in shared:
        raise UserError(f"{path}: lexicons: expected an entry 'speaker'")
    if not isinstance(raw["topics"], dict) or not raw["topics"]:
        raise UserError(f"{path}: topics: expected a mapping of topic names")
    topics = {
        str(name): _topic(
            str(name), value, shared, TURN_SEPARATOR[language], f"{path}: topic {name!r}"
        )
        for name, value in raw["topics"].items()
    }
    return Content(shared, topics)


def _mapping(
    value: object, where: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict:
    if not isinstance(value, dict) or set(value) - set(optional) != set(required):
        found = sorted(map(str, value)) if isinstance(value, dict) else type(value).__name__
        extra = f" and perhaps {optional}" if optional else ""
        raise UserError(f"{where}: expected the keys {required}{extra}, found {found}")
    return value


def _topic(name: str, raw: object, shared: dict[str, Lexicon], colon: str, where: str) -> Topic:
    raw = _mapping(raw, where, ("style", "lexicons", "sentences"), ("once",))
    if raw["style"] not in STYLES:
        raise UserError(f"{where}: style {raw['style']!r}, expected one of {STYLES}")
    own = _lexicons(raw["lexicons"], shared, where)
    known = shared | own
    lines = _lines(raw["sentences"], where)
    split_turns = [line.split(TURN) for line in lines]
    units = tuple(
        Unit(tuple(_pattern(turn, known, where) for turn in turns), colon) for turns in split_turns
    )
    once = raw.get("once", [])
    if not isinstance(once, list) or not set(once) <= set(own):
        raise UserError(f"{where}: once: expected a list of this topic's lexicons, found {once!r}")
    topic = Topic(name, raw["style"], tuple(once), own, units)
    _check_units(topic, shared, where)
    _check_usage(topic, where)
    return topic


def _lines(raw: object, where: str) -> list[str]:
    lines = [line.strip() for line in raw.splitlines()] if isinstance(raw, str) else []
    lines = [line for line in lines if line]
    if len(set(lines)) < FEWEST_SENTENCES or len(set(lines)) < len(lines):
        raise UserError(
            f"{where}: expected {FEWEST_SENTENCES} or more different sentences, one per line"
        )
    return lines


def _lexicons(raw: object, shared: dict[str, Lexicon], where: str) -> dict[str, Lexicon]:
    """Lexicons in the order of the file. An entry may use lexicons that stand above it."""
    if not isinstance(raw, dict):
        raise UserError(f"{where}: lexicons: expected a mapping")
    built: dict[str, Lexicon] = {}
    for name, entries in raw.items():
        place = f"{where}: lexicon {name!r}"
        if not re.fullmatch(r"[a-z][a-z_]*", str(name)) or name in shared:
            raise UserError(f"{place}: expected a lower-case name that no other lexicon has")
        if not isinstance(entries, list) or not all(isinstance(e, str) for e in entries):
            raise UserError(f"{place}: expected a list of strings (quote words like yes and no)")
        if len(set(entries)) < FEWEST_OPTIONS or len(set(entries)) < len(entries):
            raise UserError(f"{place}: expected {FEWEST_OPTIONS} or more different entries")
        known = shared | built
        built[name] = Lexicon(name, tuple(_pattern(entry, known, place) for entry in entries))
    return built


def _pattern(source: str, known: dict[str, Lexicon], where: str) -> Pattern:
    pieces = _SLOT.split(source)  # literal, slot, literal, ...
    if any(mark in piece for piece in pieces[::2] for mark in "{}"):
        raise UserError(f"{where}: unbalanced braces in {source!r}")
    parts: list[str | Slot] = []
    for place, piece in enumerate(pieces):
        if place % 2:
            parts.append(_slot(piece, known, f"{where}: {source!r}"))
        elif piece:
            parts.append(piece)
    return Pattern(source, tuple(parts))


def _slot(inside: str, known: dict[str, Lexicon], where: str) -> Slot:
    number = _NUMBER.fullmatch(inside)
    if number:
        low, high, step = int(number[1]), int(number[2]), int(number[3] or 1)
        if low >= high or step < 1:
            raise UserError(f"{where}: slot {{{inside}}}: expected a rising range")
        return Slot(Number(range(low, high + 1, step)), False)
    name = inside[:1].lower() + inside[1:]
    if name not in known:
        raise UserError(f"{where}: slot {{{inside}}}: expected a lexicon of this topic or file")
    return Slot(known[name], inside != name)


def _check_units(topic: Topic, shared: dict[str, Lexicon], where: str) -> None:
    """Check turns, sentence ends and lengths, which the bounds of texts and passages rely on."""
    name_length = shared["speaker"].lengths[1] + 1
    total = 0
    for unit in topic.units:
        line = TURN.join(turn.source for turn in unit.turns)
        if (len(unit.turns) > 1) != topic.is_chat:
            raise UserError(
                f"{where}: {line!r}: expected turns separated by {TURN!r} in chats and nowhere else"
            )
        if not all(SENTENCE_END.search(turn.source) for turn in unit.turns):
            raise UserError(f"{where}: {line!r}: expected a sentence end")
        bounds = [turn.lengths for turn in unit.turns]
        longest = sum(high for _, high in bounds) + topic.is_chat * len(bounds) * name_length
        if longest > LONGEST_SENTENCE:
            raise UserError(
                f"{where}: {line!r}: up to {longest} tokens, expected at most {LONGEST_SENTENCE}"
            )
        total += sum(low for low, _ in bounds)
    if total < SHORTEST_PASSAGE:
        raise UserError(f"{where}: expected sentences of {SHORTEST_PASSAGE} tokens in all")


def _check_usage(topic: Topic, where: str) -> None:
    """Check that every sentence has a slot and that every lexicon is used."""
    used: set[str] = set()
    for unit in topic.units:
        for turn in unit.turns:
            used |= _names(turn)
        line = TURN.join(turn.source for turn in unit.turns)
        if not unit.slots:
            raise UserError(f"{where}: {line!r}: expected a slot")
        uses = Counter(s.source.name for s in unit.slots if isinstance(s.source, Lexicon))
        if max(uses.values(), default=0) > FEWEST_OPTIONS:
            raise UserError(
                f"{where}: {line!r}: expected no lexicon more than {FEWEST_OPTIONS} times"
            )
    unused = [name for name in topic.lexicons if name not in used]
    if unused:
        raise UserError(f"{where}: lexicon {unused[0]!r} is used by no sentence")


def _names(pattern: Pattern) -> set[str]:
    """The lexicons that a pattern draws from, also through the entries of others."""
    names: set[str] = set()
    for slot in pattern.slots:
        if isinstance(slot.source, Lexicon):
            names.add(slot.source.name)
            names.update(*map(_names, slot.source.entries))
    return names
