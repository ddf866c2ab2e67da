"""Our own layout of conversations, JSONL: each line is a conversation with its questions.

    {"id": "a", "sessions": [[{"speaker": "Ann", "text": "..."}, ...], ...],
     "questions": [{"question": "...", "answers": ["...", ...], "about": "..."}]}

`role` and `content` may stand for `speaker` and `text`. A question without answers is one that the
conversation does not answer. `about` may be missing. Other fields are not used.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import UserError
from ..json_files import check, lines, member, shown, words
from ..messages import content_of
from ..sample import UNANSWERABLE
from .building import ANY_KIND, Builder, Question
from .sessions import Session, language_of, turn

NAMES = (("speaker", "text"), ("role", "content"))


def read(path: Path, builder: Builder) -> None:
    """Add a sample for each conversation of `path`.

    Raises:
        UserError: names the file, the line (from 1) and the wrong field.
    """
    for where, entry in lines(path):
        name = words(member(entry, "id", str | int, where), f"{where}: field 'id'")
        sessions = _sessions(member(entry, "sessions", list, where), where)
        questions = member(entry, "questions", list, where)
        asked = [_question(item, n, where) for n, item in enumerate(questions, start=1)]
        builder.add(name, name, sessions, asked)


def _sessions(entries: Sequence[Any], where: str) -> list[str]:
    if not entries:
        raise UserError(f"{where}: field 'sessions': found [], expected one session at least")
    said = [_turns(entry, f"{where}: sessions[{number}]") for number, entry in enumerate(entries)]
    language = language_of(text for turns in said for _, text in turns)
    return [Session.of(turn(*pair, language) for pair in turns).text for turns in said]


def _turns(entries: Any, where: str) -> list[tuple[str, str]]:
    if not check(entries, list, where):
        raise UserError(f"{where}: found [], expected one turn at least")
    return [_turn(entry, f"{where}[{number}]") for number, entry in enumerate(entries)]


def _turn(entry: Any, where: str) -> tuple[str, str]:
    check(entry, dict, where)
    for speaker, text in NAMES:
        if speaker in entry and text in entry:
            said = content_of(entry, where, text)
            return words(entry[speaker], f"{where}.{speaker}"), words(said, f"{where}.{text}")
    raise UserError(
        f"{where}: found fields {sorted(entry)}, expected 'speaker' and 'text', or 'role' and"
        " 'content'"
    )


def _question(entry: Any, number: int, where: str) -> Question:
    where = f"{where}: question {number}"
    text = words(member(entry, "question", str, where), f"{where}: field 'question'")
    answers = member(entry, "answers", list, where)
    about = words(entry.get("about", ANY_KIND), f"{where}: field 'about'")
    if answers and about == UNANSWERABLE:
        raise UserError(
            f"{where}: field 'about': found {shown(about)} and answers, expected another word: it"
            " is the kind of questions without answers"
        )
    answers = [words(answer, f"{where}: answers[{n}]") for n, answer in enumerate(answers)]
    return Question(f"Q{number}", text, tuple(answers), about)
