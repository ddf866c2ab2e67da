"""A conversation with a memory: what the terminal and the page in a browser share."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..conversation.config.asking import RecallConfig
from ..conversation.config.training import ADAPTER, BASE, MEMORY
from ..conversation.models import lora
from ..conversation.models.loading import load_model
from ..conversation.models.trained_run import load_run
from ..conversation.prompts.prompter import Prompter
from ..conversation.recall.answers import answer
from ..conversation.recall.write_dialogues import write_texts
from ..errors import UserError
from ..fast_weights import FastState, FastWeights, load_state, save_state
from ..fast_weights import load as load_fast_weights
from ..fast_weights.base_model import positions
from ..fast_weights.config import CONFIG
from ..fast_weights.contributions import last_queries, shares
from .words import WrittenLine, language_of, written_lines

ANSWER_TOKENS = 48
CONTEXT, FAST_WEIGHTS, NOTHING = "context", "fast weights", "nothing"  # what answers
LEARNED_NOTHING = "these fast weights have learned nothing: no training has changed them"
QUESTION_MARKS = ("?", "？", "؟", "⁇", "‽")


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        text: what the model said.
        shares: from fast weights, how much of what was read for the answer each written token gave,
            by layer in the order of writing; see `contributions.shares`.
    """

    text: str
    shares: dict[int, Tensor]


class Chat:
    """One conversation: a text, fast weights, or neither.

    Attributes:
        told: what is in the context.
        state: the fast weights that answer, None without any.
        away: fast weights that were put away.
        untrained: whether the fast weights have learned nothing, whatever is written into them.
    """

    def __init__(self, fw: FastWeights, prompter: Prompter) -> None:
        self.fw, self.prompter = fw, prompter
        self.told: list[str] = []
        self.state: FastState | None = None
        self.away: FastState | None = None
        self.untrained = fw.untrained()

    @property
    def sources(self) -> list[str]:
        """What an answer may come from now, the first choice first."""
        there = {CONTEXT: bool(self.told), FAST_WEIGHTS: self.state is not None, NOTHING: True}
        return [source for source, is_there in there.items() if is_there]

    def context_tokens(self) -> int:
        """How many tokens the text in the context has."""
        return len(self._text()) if self.told else 0

    def ask(self, question: str, source: str) -> Reply:
        """The answer to `question` from one of `sources` alone.

        Raises:
            UserError: text, question and answer take more positions than the model has.
        """
        (ids,) = self.prompter.ids([self.prompter.question(question, language_of(question))])
        contexts = [self._text()] if source == CONTEXT else None
        self._check_positions(sum(map(len, contexts or [])) + len(ids) + ANSWER_TOKENS)
        state = self.state if source == FAST_WEIGHTS else None
        with last_queries(self.fw) as kept:
            ((said,),) = answer(
                self.fw, self.prompter, [[ids]], contexts, state, max_new_tokens=ANSWER_TOKENS
            )
        asked = said.new_tokens - said.ended  # the end token shows nothing
        if state is None or not asked:
            return Reply(said.text, {})
        # The calls of the answer come last, after that of the opening.
        queries = {i: torch.cat(z[-said.new_tokens :][:asked], 1) for i, z in kept.items()}
        return Reply(said.text, shares(state, queries))

    def drop(self) -> list[WrittenLine]:
        """Write the text into the fast weights; nothing else of it stays here.

        Returns:
            For whoever shows the text: its lines, and how far each word was let in.

        Raises:
            UserError: there is no text, it was not written, or what was written cannot be read.
        """
        if not self.context_tokens():
            raise UserError("there is no text to drop; tell something first")
        gates: list[dict[int, Tensor]] = []
        state = write_texts(
            self.fw, self.prompter, [[self._text()]], self._segment(), self.state, gates
        )
        state.readable()  # fast weights that cannot be read do not take the place of others
        before = 0 if self.state is None else int(self.state.written)
        if int(state.written) == before:
            raise UserError(
                f"nothing was written. These fast weights leave out a part of less than"
                f" {self.fw.config.chunk} tokens (flush: false); tell more first"
            )
        lines = written_lines(self.prompter, self.told, self._let_in(gates))
        self.state, self.told = state, []
        return lines

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
        if self.state is None:
            raise UserError("there are no fast weights; drop a text first")
        if not path:
            raise UserError("expected the name of a file")
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

    def _let_in(self, gates: list[dict[int, Tensor]]) -> dict[int, Tensor]:
        """How far each token of the text was let in, by layer `[T]`, from the gates by segment."""
        config, segment, ids = self.fw.config, self._segment(), self._text()
        lengths = [len(ids[start : start + segment]) for start in range(0, len(ids), segment)]
        written = [n if config.flush else n // config.chunk * config.chunk for n in lengths]
        taken = torch.cat(
            [torch.arange(n) < count for n, count in zip(lengths, written, strict=True)]
        )
        if config.gate == "none":
            return dict.fromkeys(config.layers, taken.float())
        return {i: torch.cat([g[i][0].float().cpu() for g in gates]) * taken for i in gates[0]}

    def _check_positions(self, tokens: int) -> None:
        longest, found = positions(self.fw.model), len(self.prompter.opening) + tokens
        if longest is not None and found > longest:
            way = "drop the text first" if self.told else "ask less at once"
            raise UserError(
                f"text, question and answer take {found} tokens; expected at most {longest}, the"
                f" positions of the model: {way}"
            )


def is_question(line: str) -> bool:
    """Whether `line` ends in a question mark, in quotes or brackets too."""
    return line.rstrip("!\"'”»)").endswith(QUESTION_MARKS)


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
