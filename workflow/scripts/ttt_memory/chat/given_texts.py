"""Conversations that a person pastes or uploads, as the lines that are told."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from ..benchmark.own_texts import lines_of, read_texts
from ..errors import UserError

LONGEST = 20_000  # characters: about 5,000 tokens, which take some seconds to write
PASTED = "pasted text"


def told_lines(content: str | bytes, name: str = PASTED) -> list[str]:
    """The lines of a text, or of the texts and messages of a JSONL file that has the name `name`.

    A text that begins with a brace and a quote is taken for JSONL. Each of its lines is a `text`,
    a list of `messages`, or one message with `role` and `content`.

    Raises:
        UserError: it is too long, not UTF-8, empty, or no such JSONL; `name` is named.
    """
    if len(content) > 4 * LONGEST:  # bytes of a character, at most
        raise UserError(f"{name}: found more than {LONGEST} characters, expected at most so many")
    text = _decoded(content, name)
    if len(text) > LONGEST:
        raise UserError(f"{name}: found {len(text)} characters, expected at most {LONGEST}")
    if name.lower().endswith(".jsonl") or text.lstrip().startswith('{"'):
        text = _read_jsonl(_gathered(text), name)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{name}: found no text, expected at least one line")
    return lines


def _decoded(content: str | bytes, name: str) -> str:
    if isinstance(content, str):
        return content
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not readable as UTF-8 text ({error})") from error
    if "\0" in text:
        raise UserError(f"{name}: found a zero byte, expected a text")
    return text


def _gathered(text: str) -> str:
    """A file with one message on each line as one text of messages; another file as it is."""
    try:
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except json.JSONDecodeError:
        return text
    if rows and all(isinstance(row, dict) and row.keys() == {"role", "content"} for row in rows):
        return json.dumps({"messages": rows})
    return text


def _read_jsonl(text: str, name: str) -> str:
    """The texts by the reader of training texts, which takes a file and names it in messages."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "given.jsonl"
        file.write_text(text, encoding="utf-8", errors="replace")
        try:
            texts = list(read_texts(file))
        except UserError as error:
            raise UserError(str(error).replace(str(file), name)) from error
    return "\n".join(t if isinstance(t, str) else lines_of(t) for t in texts)
