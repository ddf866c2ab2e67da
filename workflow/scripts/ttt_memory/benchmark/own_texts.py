"""Texts of the user to train on: JSONL or Parquet files of chat messages or plain text."""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import UserError
from .json_files import lines, shown
from .messages import content_of
from .sample import TURN_SEPARATOR

SUFFIXES = (".jsonl", ".parquet")
FIELDS = ("messages", "text")
ANY_LANGUAGE = "any"  # own texts may be used with dialogues of every language
Chat = list[dict[str, str]]  # messages, each with "role" and "content"
BATCH = 1_000  # rows of a Parquet file that are in RAM at once


def passages(files: Iterable[Path], characters: int) -> Iterator[dict]:
    """The texts of `files` as rows of `schemas.PASSAGES`, of at most `characters` characters.

    Raises:
        UserError: there is no text at all, or as `read_texts`.
    """
    files, number = list(files), 0
    for file in files:
        for text in read_texts(file):
            for part in cut(text, characters):
                row = {"passage_id": f"own-{number:08d}", "language": ANY_LANGUAGE}
                row |= {"topic": file.name, "text": part, "messages": None}
                if not isinstance(part, str):
                    messages = json.dumps(part, ensure_ascii=False)
                    row |= {"text": lines_of(part), "messages": messages}
                yield row
                number += 1
    if not number:
        names = ", ".join(map(str, files)) or "none"
        raise UserError(f"corpus: found no text in the files ({names}), expected at least one")


def files_in(paths: Iterable[Path]) -> list[Path]:
    """The files to read: each path that is a file, and the sorted text files of each folder."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(p for p in path.rglob("*") if _suffix(p)) if path.is_dir() else []
        found += inside if path.is_dir() else [path]
    return found


def read_texts(file: Path) -> Iterator[str | Chat]:
    """The messages of every row of `file`, or its text if it has no messages.

    Other fields are ignored.

    Raises:
        UserError: names the file, the line (from 1) or row (from 0), and the wrong field.
    """
    suffix = _suffix(file)
    if not suffix:
        raise UserError(f"{file}: expected a file that ends in {' or '.join(SUFFIXES)}")
    if not file.is_file():
        raise UserError(f"{file}: no such file")
    rows = lines(file) if suffix == ".jsonl" else _rows(file)
    for where, row in rows:
        yield _parsed(row, where)


def _suffix(file: Path) -> str:
    """The ending of `file` in lower case, if it is one of `SUFFIXES`; else nothing."""
    suffix = file.suffix.lower()
    return suffix if suffix in SUFFIXES else ""


def lines_of(messages: Chat) -> str:
    """Messages as lines of "role: content", like the turns of a dialogue."""
    return "".join(f"{m['role']}{TURN_SEPARATOR['en']}{m['content']}\n" for m in messages)


def cut(text: str | Chat, characters: int) -> Iterator[str | Chat]:
    """Cut `text` into parts of at most `characters` characters.

    Text is cut between lines. A line that is too long is cut inside. Messages are cut before a
    message of the user, so that every part is a conversation. An exchange that is too long is
    turned into text by `lines_of`, and the text is cut.
    """
    if not isinstance(text, str):
        yield from _conversations(text, characters)
        return
    part = ""
    for line in text.splitlines(keepends=True):
        if part and len(part) + len(line) > characters:
            yield part
            part = ""
        part += line
        while len(part) > characters:
            yield part[:characters]
            part = part[characters:]
    if part.strip():
        yield part


def _conversations(messages: Chat, characters: int) -> Iterator[str | Chat]:
    asks = [message["role"] == "user" for message in messages]
    again = [i for i, (a, b) in enumerate(pairwise(asks), start=1) if b and not a]
    # What stands before the first message of the user, such as a system message, stays with it.
    first = asks.index(True) if True in asks else 0
    part, size = [], 0
    for start, end in pairwise([0, *(i for i in again if i > first), len(messages)]):
        exchange = messages[start:end]
        length = len(lines_of(exchange))
        if part and size + length > characters:
            yield part
            part, size = [], 0
        if length > characters:
            yield from cut(lines_of(exchange), characters)
        else:
            part, size = part + exchange, size + length
    if part:
        yield part


def _rows(file: Path) -> Iterator[tuple[str, Any]]:
    try:
        table = pq.ParquetFile(file)
        names = table.schema_arrow.names
        columns = [field for field in FIELDS if field in names]
        if not columns:
            raise UserError(f"{file}: found columns {names}, expected 'messages' or 'text'")
        number = 0
        for batch in table.iter_batches(BATCH, columns=columns):
            for row in batch.to_pylist():
                # In a table every row has every column; null means that the field is missing.
                found = {name: value for name, value in row.items() if value is not None}
                yield f"{file}: row {number}", found
                number += 1
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file}: not a readable Parquet file ({error})") from error


def _parsed(row: Any, where: str) -> str | Chat:
    if not isinstance(row, dict):
        raise UserError(
            f"{where}: found {shown(row)}, expected an object with 'messages' or 'text'"
        )
    if "messages" in row:
        messages = row["messages"]
        if not isinstance(messages, list) or not messages:
            raise UserError(f"{where}: messages: found {shown(messages)}, expected a filled list")
        return [_turn(turn, f"{where}: messages[{i}]") for i, turn in enumerate(messages)]
    if "text" in row:
        return _string(row["text"], f"{where}: text")
    raise UserError(f"{where}: found fields {sorted(row)}, expected 'messages' or 'text'")


def _turn(message: Any, where: str) -> dict[str, str]:
    if not isinstance(message, dict):
        raise UserError(f"{where}: found {shown(message)}, expected an object")
    role = _string(message.get("role"), f"{where}.role")
    return {"role": role, "content": _string(content_of(message, where), f"{where}.content")}


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where}: found {shown(value)}, expected text that is not empty")
    return value
