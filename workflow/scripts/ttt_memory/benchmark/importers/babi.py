"""bAbI's text files: numbered lines; a line with an answer asks about the lines above it.

    1 Mary moved to the bathroom.
    2 John went to the hallway.
    3 Where is Mary?<tab>bathroom<tab>1

A story begins at line 1. A question has its answer and the numbers of the lines that support it
behind tabs; some copies have bars instead. There is a sample for each place of a story at which
something is asked: the statements up to there.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ...errors import UserError
from .building import Builder, Question
from .sessions import Session, Span

_LINE = re.compile(r"(\d+) (\S.*)")
_TASK = re.compile(r"_(train|test|valid)$")
Line = tuple[int, str]  # number and text


def read(path: Path, builder: Builder) -> None:
    """Add the samples of `path`. The kind of its questions is the file's name without "_test".

    Raises:
        UserError: there is no such file, or a line is no numbered line or no question; file and
            line are named.
    """
    task = _TASK.sub("", path.stem)
    for number, story in enumerate(_stories(path), start=1):
        builder.counts["stories"] += 1
        name = f"{path.stem}/{number:04d}"
        told: list[Line] = []
        asked: list[Question] = []
        for place, (line, text) in story:
            parts = [part.strip() for part in re.split(r"[\t|]", text)]
            if len(parts) > 1:
                asked.append(_question(line, parts, told, task, builder, place))
                continue
            if asked:
                _add(name, told, asked, builder)
            told, asked = [*told, (line, text.strip())], []
        if asked:
            _add(name, told, asked, builder)


def _stories(path: Path) -> Iterator[list[tuple[str, Line]]]:
    """The lines of each story, each with its place for messages."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    story: list[tuple[str, Line]] = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as UTF-8 text ({error})") from error
    for place, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        where = f"{path}: line {place}"
        match = _LINE.fullmatch(text)
        if not match:
            raise UserError(f"{where}: found {text[:60]!r}, expected a number, a space and text")
        number = int(match[1])
        expected = story[-1][1][0] + 1 if story else 1
        if number not in (1, expected):
            raise UserError(f"{where}: found number {number}, expected {expected} or 1")
        if number == 1 and story:
            yield story
            story = []
        story.append((where, (number, match[2])))
    if story:
        yield story


def _question(
    line: int, parts: list[str], told: list[Line], task: str, builder: Builder, where: str
) -> Question:
    question, answer = parts[:2]
    if not (question and answer and told):
        raise UserError(f"{where}: expected statements, then a question and its answer")
    turns = Session.of(text for _, text in told).turns
    places = {number: Span(0, *span) for (number, _), span in zip(told, turns, strict=True)}
    named = [int(number) for number in re.findall(r"\d+", " ".join(parts[2:]))]
    builder.counts["questions"] += 1
    builder.counts["supporting lines that do not exist"] += sum(n not in places for n in named)
    evidence = tuple(places[number] for number in named if number in places)
    return Question(f"Q{line}", question, (answer,), task, evidence or None)


def _add(name: str, told: list[Line], asked: list[Question], builder: Builder) -> None:
    text = Session.of(text for _, text in told).text
    builder.add(f"{name}/{told[-1][0]}", name, [text], asked)
