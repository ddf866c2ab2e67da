"""The words of a text that was written: how far the gate let each in, and which tokens it has."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ..conversation.prompts.prompter import Prompter

# A Chinese character is a word; space is kept, so that the pieces make up the line.
WORDS = re.compile(r"\s+|[一-鿿]|[^\s一-鿿]+")


class Word(NamedTuple):
    """A piece of a line, and the widest gate of its tokens in any layer; 0 for space."""

    text: str
    gate: float


@dataclass(frozen=True)
class WrittenLine:
    """A line of a text that was written.

    Attributes:
        words: its pieces; together they are the line.
        tokens: by layer, the tokens that the layer holds of the line, in their order: for each the
            numbers of the words that it is a part of.
    """

    words: tuple[Word, ...]
    tokens: dict[int, tuple[tuple[int, ...], ...]]


class _Place(NamedTuple):
    """Where a word stands in the rendered text."""

    begin: int
    end: int
    line: int
    number: int


def language_of(text: str) -> str:
    """`zh` for a text with Chinese characters, else `en`."""
    return "zh" if any("一" <= c <= "鿿" for c in text) else "en"


def written_lines(
    prompter: Prompter, lines: list[str], gates: dict[int, Tensor]
) -> list[WrittenLine]:
    """The lines of a text that was written at once.

    Args:
        prompter: encoded the text.
        lines: the text.
        gates: by layer, how far each token of the rendered text was let in, `[T]`; tokens of 0 are
            not held.
    """
    text = "\n".join(lines)
    rendered = prompter.text(text, language_of(text))
    encoded = prompter.tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True)
    pieces = [[match[0] for match in WORDS.finditer(line)] for line in lines]
    words = list(_places(pieces, rendered.index(text)))
    owned = list(_owned(encoded["offset_mapping"], words))
    values = {layer: gate.tolist() for layer, gate in gates.items()}
    widest = [[0.0] * len(line) for line in pieces]
    tokens = [{layer: [] for layer in gates} for _ in lines]
    for layer, opened in values.items():
        for (line, numbers), gate in zip(owned, opened, strict=True):
            for number in numbers:
                widest[line][number] = max(widest[line][number], gate)
            if gate > 0:
                tokens[line][layer].append(numbers)
    return [
        WrittenLine(
            tuple(map(Word, pieces[i], widest[i])),
            {layer: tuple(held) for layer, held in tokens[i].items()},
        )
        for i in range(len(lines))
    ]


def _places(pieces: list[list[str]], start: int) -> Iterator[_Place]:
    """Every word but space, in order; the text begins at `start`."""
    for line, words in enumerate(pieces):
        for number, word in enumerate(words):
            if not word.isspace():
                yield _Place(start, start + len(word), line, number)
            start += len(word)
        start += 1


def _owned(
    spans: list[tuple[int, int]], words: list[_Place]
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """For each token its line and the words there that it is a part of; none around the text."""
    ends, line = [word.end for word in words], 0
    for begin, end in spans:
        first = bisect_right(ends, begin)
        if first < len(words) and words[first].begin < end:
            line = words[first].line
        numbers = []
        for word in words[first:]:
            if word.begin >= end or word.line != line:
                break
            numbers.append(word.number)
        yield line, tuple(numbers)
