"""LongMemEval's JSON: each question with a history of many chats, some of which answer it.

    [{"question_id", "question_type", "question", "answer", "question_date",
      "haystack_session_ids", "haystack_dates",
      "haystack_sessions": [[{"role", "content", "has_answer"?}]], "answer_session_ids"}]

A question whose id ends in "_abs" is not answered by its history: the right answer is the refusal.
"""

from pathlib import Path
from typing import Any

from ...errors import UserError
from ..json_files import check, load, member, words
from .building import Builder, Question
from .sessions import Session, Span, language_of, turn

ABSTAINS = "_abs"


def read(path: Path, builder: Builder) -> None:
    """Add a sample for each question of `path`.

    The question begins with its date, and each session with its own, since some questions ask
    how long ago something was.

    Raises:
        UserError: there is no such file, it is not JSON, or a field is missing or something else;
            question and field are named.
    """
    for number, entry in enumerate(check(load(path), list, str(path)), start=1):
        where = f"{path}: question {number}"
        name = words(member(entry, "question_id", str, where), f"{where}: field 'question_id'")
        where = f"{path}: question {name!r}"
        names = member(entry, "haystack_session_ids", list, where)
        haystack = member(entry, "haystack_sessions", list, where)
        dates = entry.get("haystack_dates") or [None] * len(haystack)
        if not len(names) == len(haystack) == len(dates):
            raise UserError(
                f"{where}: found {len(haystack)} sessions, {len(names)} ids and {len(dates)} dates,"
                " expected as many of each"
            )
        sessions, answering = [], []
        for place, (said, date) in enumerate(zip(haystack, dates, strict=True)):
            here = f"{where}: haystack_sessions[{place}]"
            session, turns = _session(check(said, list, here), date, here)
            answering += [Span(place, *session.turns[index]) for index in turns]
            sessions.append(session)
        question = _question(entry, names, answering, builder, where)
        builder.add_long(name, sessions, [str(n) for n in range(1, len(names) + 1)], [question])


def _session(said: list[Any], date: Any, where: str) -> tuple[Session, list[int]]:
    """A session after its date, and the numbers of its turns that are marked as the answer."""
    for number, entry in enumerate(said):
        for field in ("role", "content"):
            member(entry, field, str, f"{where}[{number}]")
    language = language_of(entry["content"] for entry in said)
    lines = (turn(entry["role"], entry["content"].strip(), language) for entry in said)
    marked = [number for number, entry in enumerate(said) if entry.get("has_answer") is True]
    return Session.of(lines, None if date is None else str(date)), marked


def _question(
    entry: dict[str, Any], names: list[str], marked: list[Span], builder: Builder, where: str
) -> Question:
    about = words(member(entry, "question_type", str, where), f"{where}: field 'question_type'")
    text = words(member(entry, "question", str, where), f"{where}: field 'question'")
    if date := entry.get("question_date"):
        text = f"({date}) {text}"
    abstains = entry["question_id"].endswith(ABSTAINS)
    builder.counts[f"questions: {'abstention' if abstains else about}"] += 1
    answer = entry.get("answer")
    builder.counts["answers that are numbers"] += isinstance(answer, int | float)
    wanted = member(entry, "answer_session_ids", list, where)
    found = tuple(place for place, name in enumerate(names) if name in wanted)
    builder.counts["answer sessions that do not exist"] += len(set(wanted) - set(names))
    marked = [part for part in marked if part.session in found]
    return Question(
        name="Q1",
        text=text,
        answers=() if abstains else (words(answer, f"{where}: field 'answer'"),),
        about=about,
        evidence=tuple(marked) or None,
        sessions=found,
    )
