"""Sessions as text, and where an answer stands in them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..sample import TURN_SEPARATOR, Language

_CJK = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"[A-Za-z]+")
_PLAIN = re.compile(r"[A-Za-z0-9]")


@dataclass(frozen=True)
class Span:
    """A part of a session: its characters from `start` to before `end`."""

    session: int
    start: int
    end: int


@dataclass(frozen=True)
class Session:
    """The text of a session, and where each of its turns stands in it: start and end."""

    text: str
    turns: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, turns: Iterable[str], first: str | None = None) -> "Session":
        """A session of `turns`, a line each, after the line `first`, such as its date."""
        text, places = f"{first}\n" if first else "", []
        for line in turns:
            places.append((len(text), len(text) + len(line)))
            text += line + "\n"
        return cls(text.removesuffix("\n"), tuple(places))


def turn(speaker: str, said: str, language: Language) -> str:
    """A turn as a line, as in the generated dialogues."""
    return f"{speaker}{TURN_SEPARATOR[language]}{said}"


def language_of(texts: Iterable[str]) -> Language:
    """Zh if there are more Chinese characters than words of Latin letters, else en."""
    text = " ".join(texts)
    return "zh" if len(_CJK.findall(text)) > len(_WORD.findall(text)) else "en"


def place_of(answer: str, sessions: Sequence[str], evidence: Sequence[Span] | None) -> Span | None:
    """Where `answer` stands, as whole words and in any case, or None if that is not known.

    It is known if the answer stands in the one part that is named as `evidence`. Where no evidence
    is named, it is known if the answer stands only once in all sessions.
    """
    if evidence is None:
        parts = [Span(number, 0, len(session)) for number, session in enumerate(sessions)]
    else:
        parts = list(evidence)
    found = [place for part in parts for place in _places(answer, part, sessions[part.session])]
    certain = len(found) == 1 if evidence is None else len(parts) == 1 and found
    return found[0] if certain else None


def _places(answer: str, part: Span, session: str) -> list[Span]:
    wanted = answer.strip(" .")
    if not wanted:
        return []
    before = r"(?<![A-Za-z0-9])" if _PLAIN.match(wanted[0]) else ""
    after = r"(?![A-Za-z0-9])" if _PLAIN.match(wanted[-1]) else ""
    pattern = re.compile(before + re.escape(wanted) + after, re.IGNORECASE)
    found = pattern.finditer(session, part.start, part.end)
    return [Span(part.session, *match.span()) for match in found]
