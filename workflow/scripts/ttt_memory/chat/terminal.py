"""Talk to a model: tell it something, drop the text, and ask what its fast weights still know.

    ttt-chat --model results/runs/write-drop-read/0/model

A line that ends in a question mark is a question, any other line is told; commands begin with "/".
An answer comes from the text until that is dropped, then from the fast weights, else from nothing.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from transformers.utils import logging

from ..conversation.config.asking import RecallConfig
from ..conversation.config.training import ADAPTER, BASE, MEMORY
from ..conversation.models import lora
from ..conversation.models.loading import load_model
from ..conversation.models.trained_run import load_run
from ..conversation.prompts.prompter import Prompter
from ..conversation.recall.answers import answer
from ..conversation.recall.write_dialogues import write_texts
from ..errors import UserError, run
from ..fast_weights import FastState, FastWeights, load_state, save_state
from ..fast_weights import load as load_fast_weights
from ..fast_weights.base_model import positions
from ..fast_weights.config import CONFIG
from ..study import devices

HELP = """\
TEXT            told: kept in the context until /drop
QUESTION?       answered from the context, else the fast weights, else nothing
/drop           write the text into the fast weights and drop it: no text, no KV cache
/forget         put the fast weights away: what was dropped is forgotten
/remember       bring them back; fast weights written since then are put away instead
/save FILE      keep the fast weights in a file;  /load FILE  takes them from one
/new            begin anew;  /help  this;  /quit  leave"""
ANSWER_TOKENS = 48
QUESTION_MARKS = ("?", "？", "؟", "⁇", "‽")


class Chat:
    """One conversation: a text, fast weights, or neither. `say` takes a line, returns a line."""

    def __init__(self, fw: FastWeights, prompter: Prompter) -> None:
        self.fw, self.prompter = fw, prompter
        self.told: list[str] = []
        self.state: FastState | None = None
        self.away: FastState | None = None
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
            return self._commands[name](rest.strip())
        if line.rstrip("!\"'”»)").endswith(QUESTION_MARKS):
            return self._ask(line)
        self.told.append(line)
        return f"[told, {len(self._text())} tokens in context]"

    def _text(self) -> list[int]:
        text = "\n".join(self.told)
        return self.prompter.texts([text], [language_of(text)])[0]

    def _ask(self, line: str) -> str:
        (question,) = self.prompter.ids([self.prompter.question(line, language_of(line))])
        contexts = [self._text()] if self.told else None
        self._check_positions(sum(map(len, contexts or [])) + len(question) + ANSWER_TOKENS)
        state = None if self.told else self.state
        source = "context" if self.told else "fast weights" if state else "nothing"
        ((said,),) = answer(
            self.fw, self.prompter, [[question]], contexts, state, max_new_tokens=ANSWER_TOKENS
        )
        return f"[from {source}] {said.text}"

    def _check_positions(self, tokens: int) -> None:
        longest, found = positions(self.fw.model), len(self.prompter.opening) + tokens
        if longest is not None and found > longest:
            way = "/drop the text first" if self.told else "ask less at once"
            raise UserError(
                f"text, question and answer take {found} tokens; expected at most {longest}, the"
                f" positions of the model: {way}"
            )

    def _drop(self, _: str) -> str:
        if not self.told:
            raise UserError("/drop: there is no text to drop; tell something first")
        longest = positions(self.fw.model)
        segment = RecallConfig().segment_tokens
        if longest is not None:
            segment = min(segment, max(1, longest - len(self.prompter.opening)))
        state = write_texts(self.fw, self.prompter, [[self._text()]], segment, self.state)
        state.readable()  # fast weights that cannot be read do not take the place of others
        before = 0 if self.state is None else int(self.state.written)
        if int(state.written) == before:
            raise UserError(
                f"/drop: nothing was written. These fast weights leave out a part of less than"
                f" {self.fw.config.chunk} tokens (flush: false); tell more first"
            )
        self.state, self.told = state, []
        return f"[dropped; {int(self.state.written)} tokens in {self.state.nbytes / 1e3:.0f} kB]"

    def _forget(self, _: str) -> str:
        if self.state is None:
            raise UserError("/forget: there are no fast weights; /drop a text first")
        if self.away is not None:
            raise UserError("/forget: others are put away already; /remember or /new first")
        self.state, self.away = None, self.state
        return "[forgotten]"

    def _remember(self, _: str) -> str:
        if self.away is None:
            raise UserError("/remember: nothing has been forgotten")
        self.state, self.away = self.away, self.state
        return "[remembered]"

    def _save(self, path: str) -> str:
        if self.state is None or not path:
            raise UserError("/save: expected fast weights (/drop a text first) and a file name")
        save_state(self.fw, self.state, path)
        return f"[saved to {path}]"

    def _load(self, path: str) -> str:
        if not path:
            raise UserError("/load: expected the name of a saved state")
        self.state = self.fw.flush(load_state(self.fw, path))
        return f"[loaded from {path}]"

    def _new(self, _: str) -> str:
        self.told, self.state, self.away = [], None, None
        return "[anew]"


def language_of(text: str) -> str:
    """`zh` for a text with Chinese characters, else `en`."""
    return "zh" if any("一" <= c <= "鿿" for c in text) else "en"


def open_run(
    folder: str | Path, base: str | Path | None, device: torch.device
) -> tuple[FastWeights, Prompter]:
    """A trained run, or a folder that `fast_weights.save` wrote, on its base model.

    Without `base` it is the run's own, or the one that its adapter names, if that is there.

    Raises:
        UserError: a folder is missing, or has no base model and none is named, or one and another
            is named.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a trained run or saved fast weights")
    own = folder / BASE
    if not (folder / CONFIG).is_file() and not (folder / MEMORY).is_file():
        seeds = sorted(path.parents[1].name for path in folder.glob(f"*/{MEMORY}"))
        hint = f"; it holds the memories of the seeds {', '.join(seeds)}: name one" if seeds else ""
        raise UserError(
            f"{folder}: holds no fast weights, expected a trained run or saved fast weights{hint}"
        )
    if own.is_dir() and base is not None:
        raise UserError(f"{folder}: holds its own base model (folder {BASE}); leave out --base")
    base = own if own.is_dir() else base
    if base is None:
        base = trained_on = lora.base_name(folder / ADAPTER)
        if trained_on is None or not Path(trained_on).is_dir():
            hint = "" if trained_on is None else f" (it was trained on {trained_on})"
            raise UserError(
                f"{folder}: holds no base model (folder {BASE}); name one with --base{hint}"
            )
    if (folder / CONFIG).is_file():
        fw = load_fast_weights(folder, load_model(base)).to(device).eval()
    else:
        fw = load_run(folder, base, device)
    return fw, Prompter.load(base)


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


def talk(chat: Chat, said: Iterable[str], echo: bool) -> None:
    """Carry out lines up to /quit and print the answers; with `echo` the lines as well."""
    for line in map(str.strip, said):
        if not line:
            continue
        if echo:
            print(f"> {line}")
        if line == "/quit":
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
    parser.add_argument("--model", required=True, help="a trained run, or saved fast weights")
    parser.add_argument("--base", help="base model of a folder that holds none, in hub format")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    args = parser.parse_args()
    logging.disable_progress_bar()
    chat = Chat(*open_run(args.model, args.base, devices.pick(args.device)))
    interactive = sys.stdin.isatty()
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # bytes that are no text
    if interactive:
        print(HELP)
    talk(chat, lines(interactive), echo=not interactive)


def main() -> None:
    """The command `ttt-chat`."""
    run(_main)


if __name__ == "__main__":
    main()
