"""Blocks of a Markdown page that a command writes; the text around them is written by hand.

A block stands between two comments. The first one holds a digest of what is between them, so
that an edit by hand is noticed:

    <!-- begin splits 0f3c9a1b2d4e5f60 -->
    | ... |
    <!-- end splits -->

With "by-hand" in place of the digest the text was not written by a command.
"""

import hashlib
import re

from ...errors import UserError

BY_HAND = "by-hand"
_BLOCK = re.compile(r"<!-- begin (\w+) (\S+) -->\n(.*?)<!-- end \1 -->", re.DOTALL)


def digest(body: str) -> str:
    """16 hexadecimal digits that change with `body`."""
    return hashlib.blake2b(body.encode(), digest_size=8).hexdigest()


def edited(page: str) -> list[str]:
    """Names of the blocks of `page` whose text is not what the command wrote."""
    found = (match.groups() for match in _BLOCK.finditer(page))
    return [name for name, mark, body in found if mark not in (BY_HAND, digest(body))]


def replaced(page: str, name: str, body: str, file: object) -> str:
    """`page`, in which the block `name` holds `body`; `file` is named in the error.

    Raises:
        UserError: the page does not have exactly one block of that name.
    """
    body = f"{body.strip()}\n"
    count = sum(match[1] == name for match in _BLOCK.finditer(page))
    if count != 1:
        raise UserError(
            f"{file}: found {count} blocks '<!-- begin {name} ... -->' to"
            f" '<!-- end {name} -->', expected one"
        )
    written = f"<!-- begin {name} {digest(body)} -->\n{body}<!-- end {name} -->"
    return _BLOCK.sub(lambda match: written if match[1] == name else match[0], page)
