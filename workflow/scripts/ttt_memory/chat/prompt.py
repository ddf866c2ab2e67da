"""Lines from the keyboard or from standard input, and what is printed for them.

What a person types is edited by prompt_toolkit. Its history lasts as long as the conversation and
is in no file, as a text that was dropped should be.
"""

import os
import sys
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.text import Text

from ..errors import UserError
from .conversation import CONTEXT, FAST_WEIGHTS, NOTHING
from .line_chat import HELP, LineChat

COLOURS = {CONTEXT: "cyan", FAST_WEIGHTS: "green", NOTHING: "yellow"}
ERROR = "red"
LEAVING = "(/quit or Ctrl+D leaves)"


def typed(commands: list[str]) -> Iterator[str]:
    """What is typed at the prompt: a line, or several lines that are pasted at once."""
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        yield from _plainly_typed()
        return
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.history import InMemoryHistory

    session = PromptSession(
        history=InMemoryHistory(),
        completer=WordCompleter(commands, sentence=True),
        complete_while_typing=Condition(lambda: session.default_buffer.text.startswith("/")),
    )
    while True:
        try:
            yield session.prompt("> ")
        except KeyboardInterrupt:
            print(LEAVING)
        except EOFError:
            return


def _plainly_typed() -> Iterator[str]:
    while True:
        try:
            yield input("> ")
        except (EOFError, KeyboardInterrupt):
            return


def talk(chat: LineChat, said: Iterable[str], echo: bool) -> None:
    """Carry out lines up to /quit and print the answers; with `echo` the lines as well."""
    for line in map(str.strip, said):
        if not line:
            continue
        if echo:
            show(f"> {line}")
        if line.split()[0] == "/quit":
            return
        try:
            show(chat.say(line))
        except UserError as error:
            show(f"error: {error}", ERROR)
        except KeyboardInterrupt:
            # At the prompt this ends a long answer, and nothing that was told or written is lost.
            if echo:
                raise
            show("[interrupted]")


def show(said: str, colour: str | None = None) -> None:
    """Print a line; an answer has the colour of what it came from, if the output is a terminal."""
    found = (colour for source, colour in COLOURS.items() if said.startswith(f"[from {source}]"))
    # NO_COLOR and an output that is no terminal are looked at by rich.
    text = Text(said, style=colour or next(found, ""))
    Console(highlight=False).print(text, soft_wrap=True)
    sys.stdout.flush()


def talk_here(chat: LineChat) -> None:
    """Talk over standard input and output."""
    interactive = sys.stdin.isatty()
    # Without a byte-order mark; bytes that are no text are replaced.
    sys.stdin.reconfigure(encoding="utf-8-sig", errors="replace")
    if interactive:
        show(HELP)
    talk(chat, typed(chat.commands) if interactive else sys.stdin, echo=not interactive)
