"""Reading JSON of others: a fault names the file, the entry and the field."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import UserError

NAMES = {dict: "an object", list: "a list", str: "text", int: "a number"}


def load(path: Path) -> Any:
    """The content of the JSON file `path`.

    Raises:
        UserError: there is no such file, or it is not JSON.
    """
    try:
        # Windows begins files with a byte-order mark, which "utf-8-sig" leaves out.
        return _encodable(json.loads(path.read_text(encoding="utf-8-sig")))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: malformed JSON: {error}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as UTF-8 text ({error})") from error


def lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The lines of the JSONL file `path` that are not blank, each with its place for messages.

    Raises:
        UserError: there is no such file, or a line is not JSON.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path}: line {number}"
            try:
                yield where, _encodable(json.loads(line.decode("utf-8-sig")))
            except ValueError as error:
                raise UserError(f"{where}: not readable as JSON in UTF-8 ({error})") from error


def _encodable(value: Any) -> Any:
    """`value`, if all of its text can be written: half of an emoji, an escaped `d83d`, cannot.

    Raises:
        ValueError: some cannot.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise ValueError(f"a text holds {half!r}, half of a surrogate pair") from None
    return value


def check(value: Any, kind: type, where: str) -> Any:
    """`value`, if it is a `kind`.

    Raises:
        UserError: it is not; `where` is named.
    """
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UserError(f"{where}: found {shown(value)}, expected {NAMES[kind]}")
    return value


def member(entry: Any, name: str, kind: type, where: str) -> Any:
    """The field `name` of the object `entry`, if it is a `kind`.

    Raises:
        UserError: `entry` is no object, or the field is missing or something else.
    """
    check(entry, dict, where)
    if name not in entry:
        raise UserError(f"{where}: field {name!r} is missing, found {sorted(entry)[:8]}")
    return check(entry[name], kind, f"{where}: field {name!r}")


def words(value: Any, where: str) -> str:
    """`value` as text that is not empty; a number becomes text.

    Raises:
        UserError: it is neither text nor a number, or empty.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where}: found {shown(value)}, expected text that is not empty")
    return value.strip()


def shown(value: Any) -> str:
    """The beginning of `value` as JSON, for a message."""
    return json.dumps(value, ensure_ascii=False, default=str)[:80]
