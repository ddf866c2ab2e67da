"""The text of a chat message: as text, in parts, or as calls of tools (OpenAI's chat format)."""

from typing import Any

from ..errors import UserError
from .json_files import check, member, shown

TEXT_PARTS = ("text", "input_text", "output_text")


def content_of(message: dict[str, Any], where: str, name: str = "content") -> Any:
    """The content of `message`, with parts and calls as text.

    Parts of text are put together. Each call of a tool is a line `name(arguments)` behind the
    content, which may then be missing. What is neither parts nor calls is returned as it is.

    Args:
        message: an object.
        where: its place, for messages.
        name: the field of its content.

    Raises:
        UserError: a part is no text, or a part or a call is malformed.
    """
    content = message.get(name)
    if isinstance(content, list) and content:
        parts = [_part(part, f"{where}.{name}[{i}]") for i, part in enumerate(content)]
        content = "".join(parts)
    calls = message.get("tool_calls") or []
    said = [
        _call(call, f"{where}.tool_calls[{i}]")
        for i, call in enumerate(check(calls, list, f"{where}.tool_calls"))
    ]
    if said and isinstance(content, str | None):
        return "\n".join(filter(None, [content, *said]))
    return content


def _part(part: Any, where: str) -> str:
    kind = member(part, "type", str, where)
    if kind not in TEXT_PARTS:
        raise UserError(f"{where}: found a part of type {shown(kind)}, expected text")
    return member(part, "text", str, where)


def _call(call: Any, where: str) -> str:
    function = member(call, "function", dict, where)
    place = f"{where}: field 'function'"
    name = member(function, "name", str, place)
    return f"{name}({member(function, 'arguments', str, place)})"
