"""What a file of conversations looks like, told from its beginning."""

import re
from pathlib import Path

from ...errors import UserError

BEGINNING = 2**18  # bytes that are looked at
PARQUET = b"PAR1"
# The layouts of text files and what only their files hold, the surest first.
SIGNS = {
    "longmemeval": re.compile(r'"(haystack_sessions|haystack_dates|answer_session_ids)"\s*:'),
    "locomo": re.compile(r'"(dia_id|adversarial_answer|session_1|speaker_a)"\s*:'),
    "published": re.compile(r'\A\s*\{.*"(samples|gold_answer)"\s*:', re.DOTALL),
    "jsonl": re.compile(r'\A\s*\{[^\n]*"sessions"\s*:'),
    "babi": re.compile(r"\A\s*1 \S[^\n]*\n\s*2 \S"),
}
TEXTS = re.compile(r'\A\s*\{\s*"(messages|text)"\s*:')

# Where files of a public layout are.
HOMES = {
    "locomo": "data/locomo10.json of https://github.com/snap-research/locomo",
    "babi": "the bAbI tasks 1.2 of https://research.facebook.com/downloads/babi/",
    "longmemeval": "https://github.com/xiaowu0162/LongMemEval",
}


def check_layout(path: Path, expected: str) -> None:
    """Check that the file `path` begins as a file of the layout `expected` does.

    Raises:
        UserError: there is no such file, or it looks like something else, which is named.
    """
    if not path.is_file() and expected in HOMES:
        raise UserError(f"{path}: no such file; expected one from {HOMES[expected]}, put there")
    found = layout_of(path)
    if found == expected:
        return
    told = f"{path}: expected the layout {expected!r} (source: {expected})"
    if found is not None:
        raise UserError(f"{told}; it looks like {found!r}: expected source: {found}")
    if TEXTS.search(_beginning(path)):
        raise UserError(f"{told}; it looks like texts without questions, for corpus.files")
    raise UserError(f"{told}; it looks like none of {[*SIGNS, 'parquet']}")


def layout_of(path: Path) -> str | None:
    """The layout that the file `path` looks like, or None.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    text = _beginning(path)
    if text.startswith(PARQUET.decode()):
        return "parquet"
    return next((name for name, sign in SIGNS.items() if sign.search(text)), None)


def _beginning(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with open(path, "rb") as file:
            return file.read(BEGINNING).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: not readable ({error})") from error
