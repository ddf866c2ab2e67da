"""Frames: wording that stands around a sentence or a question.

`data/frames_<language>.yaml` has five kinds:

    question    around a question in training
    change      around the sentence {S} that changes a value; it may name the old one, {OLD}
    reply       answers such a sentence
    session     a short dialogue of the speakers a and b in which a says {S}
    whose       around a question, {a} and {b} being the speakers of the dialogue that is meant

{Q} is the question as it is, {q} the same to go on within a sentence, without its mark, and {noun}
words that stand for it, such as "the price of the boat".
"""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from ...errors import UserError
from .draft import Question
from .grammar import Grammar, Nodes, mentions, named, pick, text
from .values import load_yaml

FRAMED = 0.4  # share of the questions in training that stand in a frame
CASUAL = 0.15  # share of all questions that are written without care, see `casual`
_END = "?？.。"
# English questions that begin so go on in lower case within a sentence.
_FIRST = frozenset(
    [
        "what",
        "who",
        "when",
        "where",
        "which",
        "how",
        "whom",
        "whose",
        "why",
        "by",
        "for",
        "at",
        "on",
        "to",
        "in",
        "from",
        "with",
        "is",
        "are",
        "was",
        "were",
        "does",
        "do",
        "did",
        "has",
        "have",
        "had",
        "can",
        "could",
        "will",
        "would",
        "should",
    ]
)
# Chinese questions that begin so stand in a frame already.
_FRAMED_ZH = ("请问", "你知道", "你还记得", "能", "告诉", "想", "我")
_BEGIN = re.compile(r"(?:^|(?<=[.:?!] ))([A-Z])")
_I = re.compile(r"\bI\b(?=[' ])")
Turns = tuple[tuple[str, Nodes], ...]
Around = tuple[Nodes, frozenset[str]]  # a frame of a question, and the variables it needs


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of one language; `change`, `session` and `whose` of one part."""

    question: tuple[Around, ...]
    reply: tuple[Nodes, ...]
    change: tuple[Nodes, ...]
    session: tuple[Turns, ...]
    whose: tuple[Around, ...]


@cache
def frames(language: str, new: bool = False) -> Frames:
    """The frames of `language` that training shows, or the `new` ones that it never shows.

    Raises:
        UserError: the file is malformed; the message names the file and the key.
    """
    name = f"frames_{language}.yaml"
    data, part = load_yaml(name), "new" if new else "trained"
    grammar = Grammar({}, name)
    for key in ("question", "reply", "change", "session", "whose"):
        if key not in data:
            raise UserError(f"{name}: key {key!r} is missing")
        if key not in ("question", "reply") and set(data[key]) != {"trained", "new"}:
            raise UserError(f"{name}: {key!r} has {[*data[key]]}, expected `trained` and `new`")

    def lines(entries: list[str], *variables: str) -> tuple[Nodes, ...]:
        return tuple(grammar.compile(entry, variables) for entry in entries)

    def around_question(entries: list[str]) -> tuple[Around, ...]:
        compiled = lines(entries, "Q", "q", "noun", "a", "b")
        return tuple((nodes, frozenset(named(nodes))) for nodes in compiled)

    change = lines(data["change"][part], "S", "OLD")
    session = tuple(
        tuple((speaker, grammar.compile(words, ("S", "a", "b"))) for speaker, words in turns)
        for turns in data["session"][part]
    )
    for nodes in (*change, *(_joined(turns) for turns in session)):
        if not mentions(nodes, "S"):
            raise UserError(f"{name}: a frame of a change without {{S}}")
    return Frames(
        question=around_question(data["question"]),
        reply=lines(data["reply"]),
        change=change,
        session=session,
        whose=around_question(data["whose"][part]),
    )


def _joined(turns: Turns) -> Nodes:
    return tuple(node for _, words in turns for node in words)


def around(question: Question, language: str, rng: random.Random) -> str:
    """The words of `question`, in a frame of kind `question` if one can stand around it."""
    options = frames(language).question
    return _framed(question, options, rng, {})


def of_whom(
    question: Question, speakers: tuple[str, str], language: str, new: bool, rng: random.Random
) -> str:
    """The words of `question`, naming two speakers of the dialogue that it is about."""
    bound = dict(zip("ab", speakers, strict=True))
    return _framed(question, frames(language, new).whose, rng, bound)


def _framed(question: Question, options: tuple, rng: random.Random, bound: dict) -> str:
    bound = {**bound, "Q": question.text}
    if question.noun is not None:
        bound["noun"] = question.noun
    if goes_on := continued(question.text):
        bound["q"] = goes_on
    fitting = [nodes for nodes, needed in options if needed <= bound.keys()]
    return text(pick(fitting, rng), rng, bound)


def continued(question: str) -> str | None:
    """The question as the rest of a sentence, without its mark; None if it cannot be that."""
    if question[-1] not in "?？" or any(mark in question[:-1] for mark in _END):
        return None
    words = question.rstrip(_END)
    if not words[0].isascii():
        return None if words.startswith(_FRAMED_ZH) else words
    first = re.split("[ ']", words)[0]
    return words[:1].lower() + words[1:] if first.lower() in _FIRST else None


def casual(language: str, question: str, kept: Iterable[str]) -> str:
    """The question without its last mark and, in English, without capitals at beginnings.

    Names keep theirs, and so do the words `kept`.
    """
    bare = question.rstrip(_END)
    if language == "zh":
        return bare

    def lowered(match: re.Match) -> str:
        rest = bare[match.start(1) :]
        return match[0] if any(rest.startswith(words) for words in kept) else match[0].lower()

    return _I.sub("i", _BEGIN.sub(lowered, bare))
