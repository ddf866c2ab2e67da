"""Sentence patterns with slots, the lexicons that fill the slots, and the count of proxy tokens."""

import random
import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

Held = dict[str, str]  # by lexicon: the entry that is used throughout a paragraph
Drawn = dict[str, set[str]]  # by lexicon: the entries used so far in a sentence or an exchange

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = f"[^\\W_{_CJK}]+"
_TOKEN = re.compile(f"[{_CJK}]|{_WORD}(?:(?:['’]|(?<=\\d)[.,](?=\\d)){_WORD})*|[^\\w\\s]|_")


def tokens(text: str) -> list[str]:
    """The proxy tokens of `text`; see `count`."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """The length of `text` in proxy tokens, which need no model's tokenizer.

    A Chinese, Japanese or Korean character is one token. So is a word or a number ("don't", "3.5"
    and "1,200" are one each) and a punctuation mark. White space does not count.
    """
    return len(tokens(text))


@dataclass(frozen=True)
class Number:
    """The slot `{low-high/step}`."""

    values: range

    def draw(self, rng: random.Random) -> str:
        return str(rng.choice(self.values))

    @cached_property
    def lengths(self) -> tuple[int, int]:
        return 1, 1


@dataclass(frozen=True)
class Lexicon:
    """A list of entries. An entry is a pattern, so it may have slots itself."""

    name: str
    entries: tuple["Pattern", ...]

    def draw(self, rng: random.Random) -> str:
        return rng.choice(self.entries).fill(rng, {}, {})

    @cached_property
    def lengths(self) -> tuple[int, int]:
        lows, highs = zip(*(entry.lengths for entry in self.entries), strict=True)
        return min(lows), max(highs)


class Slot(NamedTuple):
    """A place in a pattern, and what fills it."""

    source: Number | Lexicon
    capitalised: bool


@dataclass(frozen=True)
class Pattern:
    """Text with slots: `parts` are texts and slots in order."""

    source: str
    parts: tuple[str | Slot, ...]

    def fill(self, rng: random.Random, held: Held, drawn: Drawn) -> str:
        """The text with every slot filled at random.

        A lexicon in `held` gives the entry named there. `drawn` collects the entries of the other
        lexicons, so that none gives the same entry twice.
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
    def lengths(self) -> tuple[int, int]:
        """The least and the greatest number of proxy tokens of a filled pattern."""
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
    """One line of `sentences` in a content file: a sentence, or an exchange of several turns."""

    turns: tuple[Pattern, ...]
    colon: str

    def fill(self, rng: random.Random, held: Held, speakers: tuple[str, ...]) -> str:
        """The sentence; or, with `speakers`, the lines of an exchange between two of them."""
        drawn: Drawn = {}
        said = [turn.fill(rng, held, drawn) for turn in self.turns]
        if not speakers:
            return said[0]
        pair = rng.sample(speakers, 2)
        return "\n".join(f"{pair[i % 2]}{self.colon}{turn}" for i, turn in enumerate(said))

    @property
    def slots(self) -> tuple[Slot, ...]:
        return tuple(slot for turn in self.turns for slot in turn.slots)
