"""The batches of a run: what each training step writes and asks."""

import random
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..config.training import TrainConfig
from ..prompts.packing import Packed, pack
from ..prompts.prompter import EncodedDialogue
from .corpus_sampler import CorpusSampler
from .episodes import EpisodeMaker, growing_turns, log_uniform

KEPT = 1  # third number of the place whose generator draws the kept texts


@dataclass
class WrittenText:
    """A text to write, one for each row of a batch.

    Attributes:
        packed: the text, and after it the probes that are asked with the text in context.
        written: [B, T] bool, True for the tokens of the text itself.
        weight: factor on the write of every token.
        shared: whether the texts of all rows are written into the state of each row.
    """

    packed: Packed
    written: Tensor
    weight: float = 1.0
    shared: bool = False


@dataclass
class Batch:
    """A micro-batch.

    Attributes:
        objective: "context" (condition A), "empty" (condition C), "write_drop_read" (condition B,
            and A on the texts that are written) or "lm".
        texts: the texts to write, in order; none for "context" and "empty".
        packed: the probes, with their context if they may see it; None for "lm".
        context: probes asked in context although their texts are written in several sessions.
        gate_cost: price of writing, see `TrainConfig.gate_cost`.
        kept: texts of the base on which its predictions are kept, one for each row.
    """

    objective: str
    texts: list[WrittenText] = field(default_factory=list)
    packed: Packed | None = None
    context: Packed | None = None
    gate_cost: float = 0.0
    kept: Packed | None = None

    @property
    def tokens(self) -> int:
        """Number of tokens that the model processes, padding included."""
        parts = [text.packed for text in self.texts] + [self.packed, self.context, self.kept]
        return sum(packed.input_ids.numel() for packed in parts if packed)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        texts = [
            replace(text, packed=text.packed.to(device), written=text.written.to(device))
            for text in self.texts
        ]
        parts = {name: getattr(self, name) for name in ("packed", "context", "kept")}
        moved = {name: part.to(device) for name, part in parts.items() if part}
        return replace(self, texts=texts, **moved)


class BatchMaker:
    """Makes the micro-batches of a run. Each depends only on corpus, seed, step and place."""

    def __init__(self, sampler: CorpusSampler, config: TrainConfig):
        self.sampler, self.config = sampler, config
        self.episodes = EpisodeMaker(sampler, config.episode)

    def batch(self, step: int, micro: int) -> Batch:
        """Micro-batch number `micro` of optimiser step `step`."""
        batch = self._batch(step, micro)
        if not self.config.keep_weight:
            return batch
        rng = self.sampler.rng(step, micro, KEPT)
        texts = rng.choices(self.sampler.base_texts, k=len(batch.packed.input_ids))
        nothing = [[] for _ in texts]
        return replace(batch, kept=pack(texts, nothing, nothing))

    def _batch(self, step: int, micro: int) -> Batch:
        config, rng = self.config, self.sampler.rng(step, micro)
        # The kind is drawn once for all micro-batches of a step. Processes that share a sharded
        # model must all run through its layers in the same order.
        kind = self.sampler.rng(step, 0) if micro else rng
        if config.objective == "lm" or (config.objective == "mixed" and kind.random() < 0.5):
            return self._lm(rng)
        if self._frozen:  # conditions A and C do not involve the fast weights
            return self._write_drop_read(step, kind, rng)
        draw = kind.random()
        if draw < config.context_share:
            packed = self.episodes.context_batch(rng, config.dialogues_per_step)
            return Batch("context", packed=packed)
        if draw < config.context_share + config.empty_share:
            return Batch("empty", packed=self.episodes.refused(self._draw(rng)))
        return self._write_drop_read(step, kind, rng)

    @property
    def _frozen(self) -> bool:
        return self.config.regime == "frozen"

    def _draw(self, rng: random.Random) -> list[EncodedDialogue]:
        return self.sampler.draw(rng, self.config.dialogues_per_step)

    def _lm(self, rng: random.Random) -> Batch:
        """Texts for the next-token loss: the user's own if there are any, else transcripts.

        A transcript is a dialogue, followed by its questions and answers.
        """
        if self.sampler.passages.own:
            drawn = self.sampler.passages.own_texts(rng, self.config.dialogues_per_step)
            nothing = [[] for _ in drawn]
            packed = pack([text.ids for text in drawn], nothing, nothing)
            spans = [(text.start, len(text.ids)) for text in drawn]
            return Batch("lm", [WrittenText(packed, _within(packed, spans))])
        rows = []
        for example in self._draw(rng):
            row = list(example.context)
            for question, answer in zip(example.questions, example.answers, strict=True):
                row += question + answer
            rows.append(row)
        return Batch("lm", [self._text(rows)])

    def _write_drop_read(self, step: int, kinds: random.Random, rng: random.Random) -> Batch:
        """An episode: dialogues and distractors to write, then probes without context.

        `kinds` draws what all micro-batches of a step have in common, `rng` the rest.
        """
        config, episodes = self.config, self.episodes
        turns = growing_turns(step, config.growing_steps)
        kind = episodes.kind(kinds) if turns is None else "plain"
        sessions = episodes.sessions(kinds, episodes.group_size(kinds, kind), turns)
        # Cut dialogues are shorter, but their questions are not: twice as many cost about as much.
        count = config.dialogues_per_step if turns is None else 2 * config.dialogues_per_step
        groups = episodes.groups(rng, sessions, count, turns)
        texts = [
            text
            for i in range(len(groups[0]))
            for text in self._dialogues([group[i] for group in groups])
        ]
        if kind in ("after", "before"):
            tokens = episodes.distractor_tokens(rng)
            weight = log_uniform(rng, 1.0, config.episode.distractor_weight)
            passages = [episodes.distractor(rng, group, tokens) for group in groups]
            distractor = replace(self._text(passages, weight), shared=config.share_distractors)
            # Shared distractors are added to a state, so one must exist. The update rule does not
            # depend on the order of writing, so they can come last in an episode `before` as well.
            last = kind == "after" or distractor.shared
            texts.insert(len(texts) if last else 0, distractor)
        contexts = [group[0].context for group in groups] if config.keep_context else None
        # The gate learns what is worth writing only after reading works at all.
        cost = config.gate_cost if turns is None else 0.0
        probes = episodes.probes(groups, contexts)
        return Batch("write_drop_read", texts, probes, self._in_context(groups), cost)

    def _dialogues(self, examples: list[EncodedDialogue]) -> list[WrittenText]:
        """The sessions of dialogues, to write one after the other.

        If condition A is trained and each dialogue has one session, its probes are also asked in
        context, in the same pass.
        """
        count = max(len(example.sessions) for example in examples)
        if count == 1 and self._asks_in_context:
            contexts = [example.context for example in examples]
            packed = self.episodes.probes([[example] for example in examples], contexts)
            return [self._written(packed, contexts)]
        return [
            self._text([e.sessions[i] if i < len(e.sessions) else [] for e in examples])
            for i in range(count)
        ]

    def _in_context(self, groups: list[list[EncodedDialogue]]) -> Packed | None:
        """The probes that `_dialogues` did not ask in context, since there are several sessions."""
        together = [
            example
            for examples in zip(*groups, strict=True)
            if any(len(example.sessions) > 1 for example in examples)
            for example in examples
        ]
        if not together or not self._asks_in_context:
            return None
        return self.episodes.probes([[e] for e in together], [e.context for e in together])

    @property
    def _asks_in_context(self) -> bool:
        return not self._frozen and self.config.context_weight > 0

    def _text(self, rows: list[list[int]], weight: float = 1.0) -> WrittenText:
        """Texts to write, without probes."""
        packed = self.episodes.probes([[] for _ in rows], rows)
        return self._written(packed, rows, weight)

    def _written(self, packed: Packed, rows: list[list[int]], weight: float = 1.0) -> WrittenText:
        """Packed rows whose texts `rows` are written; the opening before them is not."""
        start = len(self.sampler.prompter.opening)
        return WrittenText(packed, _within(packed, [(start, start + len(r)) for r in rows]), weight)


def _within(packed: Packed, spans: list[tuple[int, int]]) -> Tensor:
    """[B, T] bool: True from the start to before the end of each row's span."""
    starts, ends = torch.tensor(spans).T[..., None]
    place = torch.arange(packed.input_ids.shape[1])
    return (place >= starts) & (place < ends)
