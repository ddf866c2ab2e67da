"""A conversation with a memory: what the terminal and the page in a browser share."""

import re
from pathlib import Path

import torch

from ..conversation.config.asking import RecallConfig
from ..conversation.config.training import ADAPTER, BASE, MEMORY
from ..conversation.models import lora
from ..conversation.models.loading import load_model
from ..conversation.models.trained_run import load_run
from ..conversation.prompts.prompter import Prompter
from ..conversation.recall.answers import answer
from ..conversation.recall.write_dialogues import write_texts, written_gates
from ..errors import UserError
from ..fast_weights import FastState, FastWeights, load_state, save_state
from ..fast_weights import load as load_fast_weights
from ..fast_weights.base_model import positions
from ..fast_weights.config import CONFIG

ANSWER_TOKENS = 48
CONTEXT, FAST_WEIGHTS, NOTHING = "context", "fast weights", "nothing"  # what answers
# A Chinese character is a word; space is kept, so that the pieces make up the line.
WORDS = re.compile(r"\s+|[一-鿿]|[^\s一-鿿]+")
QUESTION_MARKS = ("?", "？", "؟", "⁇", "‽")


class Chat:
    """One conversation: a text, fast weights, or neither.

    Attributes:
        told: what is in the context.
        state: the fast weights that answer, None without any.
        away: fast weights that were put away.
    """

    def __init__(self, fw: FastWeights, prompter: Prompter) -> None:
        self.fw, self.prompter = fw, prompter
        self.told: list[str] = []
        self.state: FastState | None = None
        self.away: FastState | None = None

    @property
    def sources(self) -> list[str]:
        """What an answer may come from now, the first choice first."""
        there = {CONTEXT: bool(self.told), FAST_WEIGHTS: self.state is not None, NOTHING: True}
        return [source for source, is_there in there.items() if is_there]

    def context_tokens(self) -> int:
        """How many tokens the text in the context has."""
        return len(self._text()) if self.told else 0

    def ask(self, question: str, source: str) -> str:
        """The answer to `question` from one of `sources` alone.

        Raises:
            UserError: text, question and answer take more positions than the model has.
        """
        (ids,) = self.prompter.ids([self.prompter.question(question, language_of(question))])
        contexts = [self._text()] if source == CONTEXT else None
        self._check_positions(sum(map(len, contexts or [])) + len(ids) + ANSWER_TOKENS)
        state = self.state if source == FAST_WEIGHTS else None
        ((said,),) = answer(
            self.fw, self.prompter, [[ids]], contexts, state, max_new_tokens=ANSWER_TOKENS
        )
        return said.text

    def drop(self) -> None:
        """Write the text into the fast weights; nothing else of it stays.

        Raises:
            UserError: there is no text, it was not written, or what was written cannot be read.
        """
        if not self.context_tokens():
            raise UserError("there is no text to drop; tell something first")
        segment = self._segment()
        state = write_texts(self.fw, self.prompter, [[self._text()]], segment, self.state)
        state.readable()  # fast weights that cannot be read do not take the place of others
        before = 0 if self.state is None else int(self.state.written)
        if int(state.written) == before:
            raise UserError(
                f"nothing was written. These fast weights leave out a part of less than"
                f" {self.fw.config.chunk} tokens (flush: false); tell more first"
            )
        self.state, self.told = state, []

    def gates(self) -> list[list[tuple[str, float]]]:
        """How far the gate lets each word of the text in: pieces of each line, 0 to 1.

        A word counts as its most open token in any layer. Space between words is 0. Together the
        pieces of a line are the line. With `read_while_writing` these are the gates of a text that
        is written into empty fast weights.
        """
        text = "\n".join(self.told)
        rendered = self.prompter.text(text, language_of(text))
        spans = self.prompter.tokenizer(
            rendered, add_special_tokens=False, return_offsets_mapping=True
        )["offset_mapping"]
        opened = list(zip(spans, self._token_gates(), strict=True))
        start, made = rendered.index(text), []
        for line in self.told:
            words = WORDS.finditer(line)
            made.append([(word[0], _widest(opened, word, start)) for word in words])
            start += len(line) + 1
        return made

    def forget(self) -> None:
        """Put the fast weights away.

        Raises:
            UserError: there are none, or others are put away already.
        """
        if self.state is None:
            raise UserError("there are no fast weights; drop a text first")
        if self.away is not None:
            raise UserError("others are put away already; remember them or begin anew first")
        self.state, self.away = None, self.state

    def remember(self) -> None:
        """Exchange the fast weights and those that were put away.

        Raises:
            UserError: none were put away.
        """
        if self.away is None:
            raise UserError("nothing has been forgotten")
        self.state, self.away = self.away, self.state

    def save(self, path: str | Path) -> None:
        """Keep the fast weights in a file.

        Raises:
            UserError: there are none, or no file is named.
        """
        if self.state is None or not path:
            raise UserError("expected fast weights (drop a text first) and a file name")
        save_state(self.fw, self.state, Path(path).expanduser())

    def load(self, path: str | Path) -> None:
        """Take the fast weights of a file.

        Raises:
            UserError: no file is named, or it is not one that these fast weights wrote for one
                conversation.
        """
        if not path:
            raise UserError("expected the name of a saved state")
        state = self.fw.flush(load_state(self.fw, Path(path).expanduser()))
        if state.batch != 1:
            raise UserError(f"{path}: holds {state.batch} rows, expected those of one conversation")
        self.state = state

    def new(self) -> None:
        """Begin anew: no text, no fast weights."""
        self.told, self.state, self.away = [], None, None

    def _text(self) -> list[int]:
        text = "\n".join(self.told)
        return self.prompter.texts([text], [language_of(text)])[0]

    def _segment(self) -> int:
        """The most tokens of a text that are written at once."""
        longest, segment = positions(self.fw.model), RecallConfig().segment_tokens
        if longest is None:
            return segment
        return min(segment, max(1, longest - len(self.prompter.opening)))

    def _token_gates(self) -> list[float]:
        """The widest gate of any layer for each token of the text; 1 where there is no gate."""
        ids, segment, opened = self._text(), self._segment(), []
        for start in range(0, len(ids), segment):
            part = ids[start : start + segment]
            gates = written_gates(self.fw, self.prompter.opening, part)
            if gates:
                opened += torch.stack(list(gates.values())).amax(0).tolist()
            else:
                opened += [1.0] * len(part)
        return opened

    def _check_positions(self, tokens: int) -> None:
        longest, found = positions(self.fw.model), len(self.prompter.opening) + tokens
        if longest is not None and found > longest:
            way = "drop the text first" if self.told else "ask less at once"
            raise UserError(
                f"text, question and answer take {found} tokens; expected at most {longest}, the"
                f" positions of the model: {way}"
            )


def _widest(opened: list[tuple[tuple[int, int], float]], word: re.Match[str], start: int) -> float:
    """The widest gate of the tokens of a word; `start` is where its line begins in their text."""
    if word[0].isspace():
        return 0.0
    begin, end = (start + place for place in word.span())
    return max((gate for (a, b), gate in opened if a < end and b > begin), default=0.0)


def is_question(line: str) -> bool:
    """Whether `line` ends in a question mark, in quotes or brackets too."""
    return line.rstrip("!\"'”»)").endswith(QUESTION_MARKS)


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
