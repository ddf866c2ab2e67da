"""Talk to a model: tell it something, drop the text, and ask what its fast weights still know.

    ttt-chat --model results/runs/write-drop-read/0/model
    ttt-chat --web                                      # the same as a page in the browser

A line that ends in a question mark is a question, any other line is told; commands begin with "/".
An answer comes from the text until that is dropped, then from the fast weights, else from nothing.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec

from transformers.utils import logging

from ..errors import UserError, run
from ..study import devices
from .conversation import Chat, is_question, open_run

SHIPPED = "data/models/smollm2-memory/0"
LOOPBACK, PORT = "127.0.0.1", 7860
HELP = """\
TEXT            told: kept in the context until /drop
QUESTION?       answered from the context, else the fast weights, else nothing
/drop           write the text into the fast weights and drop it: no text, no KV cache
/forget         put the fast weights away: what was dropped is forgotten
/remember       bring them back; fast weights written since then are put away instead
/save FILE      keep the fast weights in a file;  /load FILE  takes them from one
/new            begin anew;  /help  this;  /quit  leave"""


class LineChat:
    """A conversation by lines of text: `say` takes a line and returns a line."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self._commands = {
            "/drop": self._drop,
            "/forget": self._forget,
            "/remember": self._remember,
            "/save": self._save,
            "/load": self._load,
            "/new": self._new,
            "/help": lambda _: HELP,
        }

    def say(self, line: str) -> str:
        """Carry out one line and return the answer to it.

        Raises:
            UserError: no such command, or it cannot be done now.
        """
        line = line.strip()
        if line.startswith("/"):
            name, _, rest = line.partition(" ")
            if name not in self._commands:
                known = [*self._commands, "/quit"]
                raise UserError(f"{name}: no such command; expected one of {known}")
            try:
                return self._commands[name](rest.strip())
            except UserError as error:
                raise UserError(f"{name}: {error}") from error
        if is_question(line):
            source = self.chat.sources[0]
            return f"[from {source}] {self.chat.ask(line, source)}"
        self.chat.told.append(line)
        return f"[told, {self.chat.context_tokens()} tokens in context]"

    def _drop(self, _: str) -> str:
        self.chat.drop()
        state = self.chat.state
        return f"[dropped; {int(state.written)} tokens in {state.nbytes / 1e3:.0f} kB]"

    def _forget(self, _: str) -> str:
        self.chat.forget()
        return "[forgotten]"

    def _remember(self, _: str) -> str:
        self.chat.remember()
        return "[remembered]"

    def _save(self, path: str) -> str:
        self.chat.save(path)
        return f"[saved to {path}]"

    def _load(self, path: str) -> str:
        self.chat.load(path)
        return f"[loaded from {path}]"

    def _new(self, _: str) -> str:
        self.chat.new()
        return "[anew]"


def lines(interactive: bool) -> Iterator[str]:
    """The lines typed at the prompt, or those of standard input."""
    if not interactive:
        yield from sys.stdin
        return
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
            print(f"> {line}")
        if line.split()[0] == "/quit":
            return
        try:
            print(chat.say(line), flush=True)
        except UserError as error:
            print(f"error: {error}", flush=True)
        except KeyboardInterrupt:
            # At the prompt this ends a long answer, and nothing that was told or written is lost.
            if echo:
                raise
            print("[interrupted]", flush=True)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model",
        default=SHIPPED,
        help=f"a trained run, or saved fast weights; default: {SHIPPED}, which needs its base",
    )
    parser.add_argument("--base", help="base model of a folder that holds none, in hub format")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--web", action="store_true", help="a page in the browser; needs Gradio")
    parser.add_argument("--host", help=f"with --web: the address to serve on; default: {LOOPBACK}")
    parser.add_argument("--port", type=int, help=f"with --web: the port; default: {PORT}")
    args = parser.parse_args()
    if not args.web and (args.host or args.port is not None):
        raise UserError("--host and --port go with --web")
    if args.web:
        serve = _server()  # before the model, which takes seconds to load
    logging.disable_progress_bar()
    opened = open_run(args.model, args.base, devices.pick(args.device))
    if args.web:
        serve(*opened, args.host or LOOPBACK, PORT if args.port is None else args.port)
    else:
        _talk_here(LineChat(Chat(*opened)))


def _server() -> Callable:
    """`web.serve`, if Gradio is there."""
    if find_spec("gradio") is None:
        raise UserError("--web needs Gradio 6; install it with: pip install '.[web]'")
    from .web import serve

    return serve


def _talk_here(chat: LineChat) -> None:
    """Talk over standard input and output."""
    interactive = sys.stdin.isatty()
    # Without a byte-order mark; bytes that are no text are replaced.
    sys.stdin.reconfigure(encoding="utf-8-sig", errors="replace")
    if interactive:
        print(HELP)
    talk(chat, lines(interactive), echo=not interactive)


def main() -> None:
    """The command `ttt-chat`."""
    run(_main)


if __name__ == "__main__":
    main()
