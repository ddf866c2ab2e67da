"""LoCoMo's JSON: very long conversations of two people in many sessions, with questions.

    [{"sample_id", "conversation": {"session_1": [{"speaker", "dia_id", "text", "blip_caption"?}],
                                    "session_1_date_time", ...},
      "qa": [{"question", "answer"?, "evidence": [dia_id], "category", "adversarial_answer"?}]}]

What is mended or left out is counted:

- An evidence id such as "D:11:26", or two ids in one text, is read all the same. One whose turn
  does not exist is left out.
- A question of category 5 has no answer in the conversation. Its right answer is the refusal; the
  wrong answer that is given for it is its rival. Some have a right answer all the same.
- A question of another category without an answer is left out.
- Answers that are numbers become text. Of an answer of category 3, what stands after a semicolon
  explains it, and is left out.
- The caption of an image stands in brackets at the end of its turn.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import UserError
from ..json_files import check, load, member, shown, words
from .building import Builder, Question
from .sessions import Session, Span, turn

CATEGORIES = {
    1: "multi_hop",
    2: "temporal",
    3: "open_domain",
    4: "single_hop",
    5: "adversarial",
}
# What LoCoMo's scorer looks for in an answer to a question that has none.
REFUSED = ("No information available", "Not mentioned in the conversation")
_SESSION = re.compile(r"session_(\d+)")
_TURN_ID = re.compile(r"D:?(\d+):(\d+)")
Turns = dict[tuple[int, int], Span]  # by the session and the turn of an id such as "D3:12"


def read(path: Path, builder: Builder) -> None:
    """Add the samples of `path`, one for each set of sessions that questions are about.

    Raises:
        UserError: there is no such file, it is not JSON, or a field is missing or something else;
            conversation and field are named.
    """
    for number, entry in enumerate(check(load(path), list, str(path)), start=1):
        where = f"{path}: conversation {number}"
        name = words(member(entry, "sample_id", str, where), f"{where}: field 'sample_id'")
        where = f"{path}: conversation {name!r}"
        sessions = _sessions(member(entry, "conversation", dict, where), builder, where)
        if not sessions:
            raise UserError(f"{where}: found no session, expected session_1, session_2, ...")
        turns: Turns = {
            key: Span(place, *span)
            for place, (_, session, keys) in enumerate(sessions)
            for key, span in zip(keys, session.turns, strict=True)
        }
        questions = _questions(member(entry, "qa", list, where), turns, builder, where)
        texts = [session for _, session, _ in sessions]
        builder.add_long(name, texts, [str(number) for number, _, _ in sessions], questions)


def _sessions(
    entries: dict[str, Any], builder: Builder, where: str
) -> list[tuple[int, Session, list[tuple[int, int]]]]:
    """The number of each session, its text, and the ids of its turns."""
    found = []
    numbers = sorted(int(match[1]) for name in entries if (match := _SESSION.fullmatch(name)))
    for number in numbers:
        place = f"{where}: session_{number}"
        said = check(entries[f"session_{number}"], list, place)
        if not said:
            continue
        keys, lines = [], []
        for turn_number, entry in enumerate(said, start=1):
            here = f"{place}: turn {turn_number}"
            match = _TURN_ID.fullmatch(member(entry, "dia_id", str, here))
            keys.append((int(match[1]), int(match[2])) if match else (number, turn_number))
            lines.append(_line(entry, builder, here))
        date = entries.get(f"session_{number}_date_time")
        found.append((number, Session.of(lines, date), keys))
        builder.counts["turns"] += len(lines)
    builder.counts["sessions"] += len(found)
    return found


def _line(entry: dict[str, Any], builder: Builder, where: str) -> str:
    """A turn as a line, with the caption of its image in brackets."""
    speaker = words(member(entry, "speaker", str, where), f"{where}: field 'speaker'")
    said = member(entry, "text", str, where).strip()
    caption = entry.get("blip_caption")
    if caption or "img_url" in entry:
        builder.counts["turns with an image"] += 1
    parts = [said, f"[image: {caption}]" if caption else ""]
    return turn(speaker, " ".join(" ".join(parts).split()), "en")


def _questions(
    entries: list[Any], turns: Turns, builder: Builder, where: str
) -> Iterator[Question]:
    for place, entry in enumerate(entries, start=1):
        here = f"{where}: question {place}"
        text = words(member(entry, "question", str, here), f"{here}: field 'question'")
        number = member(entry, "category", int, here)
        if number not in CATEGORIES:
            raise UserError(f"{here}: category: found {number}, expected one of {[*CATEGORIES]}")
        about = CATEGORIES[number]
        builder.counts[f"questions: {about}"] += 1
        evidence = _evidence(entry.get("evidence", []), turns, builder, here)
        answers = _answers(entry.get("answer"), about, builder, here)
        if not answers and about != "adversarial":
            builder.counts["questions left out: no answer given"] += 1
            continue
        rival = entry.get("adversarial_answer")
        yield Question(
            name=f"Q{place}",
            text=text,
            answers=answers,
            about=about,
            evidence=evidence,
            sessions=tuple(part.session for part in evidence),
            accepted=() if answers else REFUSED,
            rival=None if rival is None else words(rival, f"{here}: field 'adversarial_answer'"),
        )


def _answers(answer: Any, about: str, builder: Builder, where: str) -> tuple[str, ...]:
    if answer is None or answer == "":
        return ()
    builder.counts["answers that are numbers"] += isinstance(answer, int | float)
    builder.counts["adversarial questions with an answer"] += about == "adversarial"
    text = words(answer, f"{where}: field 'answer'")
    return (text.split(";")[0].strip() if about == "open_domain" else text,)


def _evidence(entries: Any, turns: Turns, builder: Builder, where: str) -> tuple[Span, ...]:
    """The turns that are named as evidence, each once, in their order."""
    found: dict[Span, None] = {}
    builder.counts["questions without evidence"] += not entries
    for entry in check(entries, list, f"{where}: field 'evidence'"):
        ids = _TURN_ID.findall(check(entry, str, f"{where}: field 'evidence'"))
        known = [turns[key] for key in [(int(a), int(b)) for a, b in ids] if key in turns]
        found.update(dict.fromkeys(known))
        if len(known) < max(1, len(ids)):
            builder.counts["evidence ids whose turn does not exist"] += 1
        elif len(ids) > 1 or shown(entry) != f'"D{ids[0][0]}:{ids[0][1]}"':
            builder.counts["evidence ids in another form, read all the same"] += 1
    return tuple(found)
