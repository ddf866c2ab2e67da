"""Sentence patterns with slots, the lexicons that fill them, and the model-free token count."""

import random
import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

Held = dict[str, str]  # lexicon -> the entry that holds throughout a paragraph
Drawn = dict[str, set[str]]  # lexicon -> entries given so far in a sentence or an exchange

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = f"[^\\W_{_CJK}]+"
_TOKEN = re.compile(f"[{_CJK}]|{_WORD}(?:(?:['’]|(?<=\\d)[.,](?=\\d)){_WORD})*|[^\\w\\s]|_")


def tokens(text: str) -> list[str]:
    """The proxy tokens that `count` counts."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """Length of `text` in proxy tokens, without any model's tokenizer.

    Each CJK character, each word or number ("don't", "3.5" and "1,200" are one) and each
    punctuation mark counts one; white space counts nothing.
    """
    return len(tokens(text))


@dataclass(frozen=True)
class Number:
    """The slot `{low-high/step}`."""

    values: range

    def draw(self, rng: random.Random) -> str:
        return str(rng.choice(self.values))

    @cached_property
    def variety(self) -> int:
        return len(self.values)

    @cached_property
    def lengths(self) -> tuple[int, int]:
        return 1, 1


@dataclass(frozen=True)
class Lexicon:
    """Named entries; each is a pattern of its own, so that names can be composed."""

    name: str
    entries: tuple["Pattern", ...]

    def draw(self, rng: random.Random) -> str:
        return rng.choice(self.entries).fill(rng, {}, {})

    @cached_property
    def variety(self) -> int:
        return sum(entry.variety for entry in self.entries)

    @cached_property
    def lengths(self) -> tuple[int, int]:
        lows, highs = zip(*(entry.lengths for entry in self.entries), strict=True)
        return min(lows), max(highs)


class Slot(NamedTuple):
    source: Number | Lexicon
    capitalised: bool


@dataclass(frozen=True)
class Pattern:
    """Literal text and slots in turn."""

    source: str
    parts: tuple[str | Slot, ...]

    def fill(self, rng: random.Random, held: Held, drawn: Drawn) -> str:
        """Draw every slot.

        `held` fixes the lexicons that a paragraph draws once; `drawn` collects what other
        lexicons gave, so that none gives the same entry twice.
        """
        pieces = []
        for part in self.parts:
            if isinstance(part, str):
                pieces.append(part)
                continue
            value = _draw(rng, part.source, held, drawn)
            pieces.append(value[:1].upper() + value[1:] if part.capitalised else value)
        return "".join(pieces)

    @property
    def slots(self) -> tuple[Slot, ...]:
        return tuple(part for part in self.parts if isinstance(part, Slot))

    @cached_property
    def variety(self) -> int:
        """How many ways there are to fill the slots, repeated entries not excluded."""
        product = 1
        for slot in self.slots:
            product *= slot.source.variety
        return product

    @cached_property
    def lengths(self) -> tuple[int, int]:
        """Bounds on the proxy tokens of a filled pattern."""
        low = high = 0
        for part in self.parts:
            lengths = (count(part),) * 2 if isinstance(part, str) else part.source.lengths
            low, high = low + lengths[0], high + lengths[1]
        return low, high


def _draw(rng: random.Random, source: Number | Lexicon, held: Held, drawn: Drawn) -> str:
    if isinstance(source, Number):
        return source.draw(rng)
    if source.name in held:
        return held[source.name]
    taken = drawn.setdefault(source.name, set())
    value = source.draw(rng)
    while value in taken:
        value = source.draw(rng)
    taken.add(value)
    return value


@dataclass(frozen=True)
class Unit:
    """What a line of `sentences` becomes: a sentence, or an exchange of several turns."""

    turns: tuple[Pattern, ...]
    colon: str

    def fill(self, rng: random.Random, held: Held, speakers: tuple[str, ...]) -> str:
        """The sentence, or with `speakers` the lines of two of them in turn."""
        drawn: Drawn = {}
        said = [turn.fill(rng, held, drawn) for turn in self.turns]
        if not speakers:
            return said[0]
        pair = rng.sample(speakers, 2)
        return "\n".join(f"{pair[i % 2]}{self.colon}{turn}" for i, turn in enumerate(said))

    @property
    def slots(self) -> tuple[Slot, ...]:
        return tuple(slot for turn in self.turns for slot in turn.slots)

    @cached_property
    def variety(self) -> int:
        product = 1
        for turn in self.turns:
            product *= turn.variety
        return product
