"""What a training step minimises: next tokens of a stream, or answers after write-drop-read."""

import math
import random
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from ..fast_weights import FastState, FastWeights
from .config import TrainConfig
from .data import Reader, Sampler, growing_turns, log_uniform
from .packing import Packed, pad_right
from .pretrain import answer_loss
from .prompts import Encoded


@dataclass
class Segment:
    """One document of every row: ids and mask [B, T], factor on each token's write [B, T]."""

    input_ids: Tensor
    attention_mask: Tensor
    write_weight: Tensor


@dataclass
class Batch:
    """A micro-batch.

    Attributes:
        objective: "context" (A), "empty" (C), "recall" (B) or "lm".
        segments: what is written, in order; empty for A and C.
        packed: the probes, with their context where they may see it; None for "lm".
    """

    objective: str
    segments: list[Segment] = field(default_factory=list)
    packed: Packed | None = None

    @property
    def tokens(self) -> int:
        """Tokens read, padding included."""
        packed = self.packed.input_ids.numel() if self.packed else 0
        return packed + sum(segment.input_ids.numel() for segment in self.segments)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        segments = [Segment(*(t.to(device) for t in vars(s).values())) for s in self.segments]
        return Batch(self.objective, segments, self.packed.to(device) if self.packed else None)


class Objective(nn.Module):
    """Loss of a batch; owns base and fast weights, so that Accelerate can wrap both."""

    def __init__(self, fw: FastWeights, config: TrainConfig):
        super().__init__()
        self.fw, self.config = fw, config

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Scalar loss, and the mean over rows and layers of ||dW||/||W|| (NaN if none)."""
        if batch.objective == "lm":
            return self._lm(batch)
        state = None
        for segment in batch.segments:
            state = self.fw.write(
                input_ids=segment.input_ids,
                attention_mask=segment.attention_mask,
                write_weight=segment.write_weight,
                state=state,
            ).state
        hidden = self._hidden(state, batch.packed)
        loss = answer_loss(self.fw.model, hidden, batch.packed.labels)
        if batch.objective == "context" and self.config.lm_weight:
            text = answer_loss(self.fw.model, hidden, batch.packed.lm_labels)
            loss = loss + self.config.lm_weight * text
        return loss, self._inner_norm(state, loss)

    def _hidden(self, state: FastState | None, packed: Packed) -> Tensor:
        """[B, T, d] output of the final norm; the logits of most positions are not needed."""
        forward = self.fw.plain if state is None else partial(self.fw.read, state)
        output = forward(
            input_ids=packed.input_ids,
            attention_mask=packed.mask,
            position_ids=packed.position_ids,
            use_cache=False,
            output_hidden_states=True,
            logits_to_keep=1,
        )
        return output.hidden_states[-1]

    def _lm(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Next-token loss of the published form: each chunk read before it is written."""
        (segment,) = batch.segments
        result = self.fw.write(
            input_ids=segment.input_ids, attention_mask=segment.attention_mask, logits=False
        )
        ids, mask = segment.input_ids, segment.attention_mask
        labels = ids.roll(-1, 1).masked_fill(mask.roll(-1, 1) == 0, -100)
        labels[:, -1] = -100
        loss = answer_loss(self.fw.model, result.hidden, labels)
        return loss, self._inner_norm(result.state, loss)

    @torch.no_grad()
    def _inner_norm(self, state: FastState | None, loss: Tensor) -> Tensor:
        if state is None:
            return loss.new_tensor(math.nan)
        return torch.stack([norm.mean() for norm in state.norms(self.fw).values()]).mean()


class Batches:
    """The micro-batches of a run, each a pure function of the seed and the step."""

    def __init__(self, sampler: Sampler, config: TrainConfig):
        self.sampler, self.config = sampler, config
        self.reader = Reader(sampler, config.reading)

    def batch(self, step: int, micro: int) -> Batch:
        """Micro-batch `micro` of optimiser step `step`."""
        config, rng = self.config, self.sampler.rng(step, micro)
        if config.objective == "lm" or (config.objective == "mixed" and rng.random() < 0.5):
            return self._stream(rng)
        frozen = config.regime == "frozen"  # A and C leave nothing to learn when only B can
        draw = 1.0 if frozen else rng.random()
        if draw < config.context_share:
            return Batch(
                "context", packed=self.reader.context_batch(rng, config.dialogues_per_step)
            )
        if draw < config.context_share + config.empty_share:
            return Batch("empty", packed=self.reader.probes([[e] for e in self._draw(rng)]))
        return self._recall(rng, growing_turns(step, config.growing_steps))

    def _draw(self, rng: random.Random) -> list[Encoded]:
        return self.sampler.draw(rng, self.config.dialogues_per_step)

    def _stream(self, rng: random.Random) -> Batch:
        """Transcripts: a dialogue followed by its questions and answers, as running text."""
        rows = []
        for example in self._draw(rng):
            row = list(example.dialogue)
            for question, answer in zip(example.questions, example.answers, strict=True):
                row += question + answer
            rows.append(row)
        return Batch("lm", [self._segment(rows)])

    def _recall(self, rng: random.Random, turns: int | None) -> Batch:
        reader, kind = self.reader, self.reader.kind(rng) if turns is None else "plain"
        groups = reader.groups(rng, kind, self.config.dialogues_per_step, turns)
        documents = [
            self._segment([group[i].dialogue for group in groups]) for i in range(len(groups[0]))
        ]
        if kind in ("after", "before"):
            tokens = reader.distance(rng)
            weight = log_uniform(rng, 1.0, self.config.reading.distractor_weight)
            text = self._segment([reader.text(rng, group, tokens) for group in groups], weight)
            documents.insert(len(documents) if kind == "after" else 0, text)
        contexts = [group[0].dialogue for group in groups] if self.config.keep_context else None
        return Batch("recall", documents, reader.probes(groups, contexts))

    def _segment(self, rows: list[list[int]], weight: float = 1.0) -> Segment:
        ids, mask = pad_right(rows, self.sampler.prompter.pad)
        return Segment(ids, mask, mask.float() * weight)
