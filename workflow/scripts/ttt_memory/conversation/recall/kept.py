"""What is kept of the texts of a batch until their probes are asked, and what that costs."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ...cost.model import Decoder, FastWeightsCost, Work
from ...fast_weights import FastState, FastWeights
from ...fast_weights.rules.base import Held
from ..config.asking import RecallConfig
from ..prompts.prompter import Prompter
from .answers import Answer, answer
from .episodes import Episode
from .write_dialogues import write_texts

Questions = list[list[list[int]]]  # for each episode, the token ids of each of its questions


@dataclass(frozen=True)
class Costs:
    """What keeping the texts of one episode costs, and what every answer pays for it.

    Attributes:
        state_bytes: bytes kept.
        write_flops: FLOPs to process and keep the texts, once.
        cached: tokens of the texts whose KV entries every token of an answer attends to.
        token_flops: FLOPs that every token of question and answer costs beside a plain pass.
    """

    state_bytes: int = 0
    write_flops: int = 0
    cached: int = 0
    token_flops: int = 0


@dataclass(frozen=True)
class Kept:
    """What a condition keeps of the texts of a batch, at one setting.

    Attributes:
        answer: answers the questions of the batch from what is kept.
        costs: of each episode.
        seconds: wall time to process and keep the texts of the whole batch.
        setting: of an alternative, which has several for the same texts; None: the episode's own.
        again: for each episode and question, the ids of the text that is put into the context
            again before the question; empty where nothing is.
        visible: the texts stand in the prompt, since the KV cache holds all of them.
    """

    answer: Callable[[Questions], list[list[Answer]]]
    costs: list[Costs]
    seconds: float
    setting: float | None = None
    again: Questions = field(default_factory=list)
    visible: bool = False


class Engine:
    """A trained run with its prompts, and the formulas that count what it does.

    Attributes:
        fw, prompter, config: the run, its prompts, and how it is asked.
        decoder, fast: shapes of the base model and of the fast weights.
    """

    def __init__(self, fw: FastWeights, prompter: Prompter, config: RecallConfig) -> None:
        self.fw, self.prompter, self.config = fw, prompter, config
        dtype = str(fw.model.dtype).removeprefix("torch.")
        self.decoder = Decoder.of(fw.model.get_decoder().config, dtype)
        self.fast = FastWeightsCost(self.decoder, fw.config)

    def answer(self, questions: Questions, **kept: object) -> list[list[Answer]]:
        """`answers.answer` of this run; `kept` is what it answers from."""
        limit = self.config.max_new_tokens
        return answer(self.fw, self.prompter, questions, max_new_tokens=limit, **kept)

    def write(self, batch: list[Episode]) -> list[FastState]:
        """The texts of each episode, written: a state of one row for each, as it is read.

        Every row is in the smaller of its two forms, whatever rows it was written beside.
        """
        texts = [episode.texts for episode in batch]
        state = write_texts(self.fw, self.prompter, texts, self.config.segment_tokens).readable()
        return [state.index([row]).fold() for row in range(len(batch))]

    def prefill_flops(self, tokens: int) -> int:
        """FLOPs of a pass over the opening and `tokens` tokens, without logits."""
        return self.decoder.forward(1, len(self.prompter.opening) + tokens).flops

    def answer_flops(self, costs: Costs, again: int, question: int, new: int) -> int:
        """FLOPs of one answer of `new` tokens.

        Args:
            costs: of the episode.
            again: tokens of text that are processed with the question.
            question: tokens of the question.
            new: tokens of the answer, its end among them.
        """
        first = len(self.prompter.opening) * (not costs.cached) + again + question
        past = costs.cached and costs.cached + len(self.prompter.opening)
        total = self.decoder.forward(1, first, past, logits=1).flops
        for token in range(1, new):  # the last token of an answer is no input
            total += self.decoder.forward(1, 1, past + first + token - 1, logits=1).flops
        return total + (first + new - 1) * costs.token_flops

    def written(self, episode: Episode, state: FastState) -> Costs:
        """Costs of an episode whose texts were written; `state`, one row, is what is kept."""
        lengths, opening = [len(text) for text in episode.texts], len(self.prompter.opening)
        passes, held = self.fast.write_texts(1, lengths, self.config.segment_tokens, opening)
        solving, _ = self.fast.make_readable(1, held)
        # Fewer tokens than were written may be left.
        layers = [layer.written for layer in state.readable().layers.values()]
        left = [Held(layer.token_count, layer.folded, readable=True) for layer in layers]
        read = sum(map(self.fast.sizes.read_flops, left))
        return Costs(state.nbytes, sum([*passes, solving], Work()).flops, 0, read)
