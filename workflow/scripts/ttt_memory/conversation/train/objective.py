"""What a training step minimises: next tokens of a stream, or answers after write-drop-read."""

import math
import random
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

from ...fast_weights import FastState, FastWeights, WriteResult
from ...fast_weights.merging import absorb
from ..config.training import TrainConfig
from ..models.attention_masks import packed_mask
from ..prompts.packing import IGNORE, Packed, pack
from ..prompts.prompter import Encoded
from .episodes import Reader, Sampler, growing_turns, log_uniform
from .loss import answer_loss, cross_entropy


@dataclass
class Document:
    """One text of every row.

    Attributes:
        packed: what is read: the text, and after it the probes that may see it in context.
        written: [B, T] bool, the text itself.
        weight: factor on every token's write.
        shared: whether every row's memory gets what all rows of the text write, not its own alone.
    """

    packed: Packed
    written: Tensor
    weight: float = 1.0
    shared: bool = False


@dataclass
class Batch:
    """A micro-batch.

    Attributes:
        objective: "context" (A), "empty" (C), "write_drop_read" (B, and A of what is written),
            or "lm".
        documents: what is written, in order; empty for A and C.
        packed: the probes, with their context where they may see it; None for "lm".
        gate_cost: price of writing, see `TrainConfig.gate_cost`.
    """

    objective: str
    documents: list[Document] = field(default_factory=list)
    packed: Packed | None = None
    gate_cost: float = 0.0

    @property
    def tokens(self) -> int:
        """Tokens read, padding included."""
        read = [document.packed for document in self.documents] + [self.packed]
        return sum(packed.input_ids.numel() for packed in read if packed)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        documents = [
            replace(d, packed=d.packed.to(device), written=d.written.to(device))
            for d in self.documents
        ]
        return replace(self, documents=documents, packed=self.packed and self.packed.to(device))


@dataclass
class Losses:
    """What a batch gives: the loss to minimise and, beside it, numbers for the curve.

    Attributes:
        total: scalar.
        own: the objective's own loss.
        context: condition A's loss on what was written in the same step; NaN if not asked.
        inner_norm: mean over rows and layers of ||dW|| / ||W||; NaN if nothing was written.
    """

    total: Tensor
    own: float
    context: float = math.nan
    inner_norm: float = math.nan


class Objective(nn.Module):
    """Loss of a batch; owns base and fast weights, so that Accelerate can wrap both."""

    def __init__(self, fw: FastWeights, config: TrainConfig):
        super().__init__()
        self.fw, self.config = fw, config
        # Where FSDP may cut: by this name it asks any model of transformers.
        self._no_split_modules = fw.model._no_split_modules

    def forward(self, batch: Batch) -> Losses:
        """Read, write, drop, ask."""
        if batch.objective == "lm":
            return self._lm(batch)
        state, in_context, strengths = self._write(batch.documents)
        hidden = self._hidden(state, batch.packed)
        total = answer_loss(self.fw.model, hidden, batch.packed.labels)
        losses = Losses(total, total.item())
        if strengths and batch.gate_cost:
            written = torch.cat([document.written for document in batch.documents], dim=-1)
            share = written_share(torch.cat(strengths, dim=-1), written)
            losses.total = losses.total + batch.gate_cost * share
        if batch.objective == "context" and self.config.lm_weight:
            text = answer_loss(self.fw.model, hidden, batch.packed.lm_labels)
            losses.total = losses.total + self.config.lm_weight * text
        if in_context:
            hidden, labels = (torch.cat(parts) for parts in zip(*in_context, strict=True))
            context = cross_entropy(self.fw.model, hidden, labels)
            losses.total = losses.total + self.config.context_weight * context
            losses.context = context.item()
        losses.inner_norm = self._inner_norm(state)
        return losses

    def _write(
        self, documents: list[Document]
    ) -> tuple[FastState | None, list[tuple[Tensor, Tensor]], list[Tensor]]:
        """What reading leaves.

        Returns:
            The state, solved; hidden states [N, d] and labels [N] of probes that had their context;
            how strongly each token of a document was written in each layer, [layers, B, T].
        """
        state, in_context, strengths = None, [], []
        for document in documents:
            result = self._read_and_write(document, None if document.shared else state)
            state = absorb(state, result.state) if document.shared else result.state
            labels = document.packed.labels
            if result.gates:
                strengths.append(self._strength(result.gates))
            if (chosen := labels != IGNORE).any():
                in_context.append((result.hidden[chosen], labels[chosen]))
        return state and state.solve(), in_context, strengths

    def _read_and_write(self, document: Document, state: FastState | None) -> WriteResult:
        packed = document.packed
        return self.fw.write(
            input_ids=packed.input_ids,
            attention_mask=packed_mask(self.fw.model, packed),
            position_ids=packed.position_ids,
            write_mask=document.written,
            write_weight=torch.full_like(document.written, document.weight, dtype=torch.float32),
            state=state,
        )

    def _strength(self, gates: dict[int, Tensor]) -> Tensor:
        """[layers, B, T] how strongly each token would be written at weight 1."""
        rules = {layer: self.fw.fast[str(layer)].rule(gate.dtype) for layer, gate in gates.items()}
        return torch.stack([rules[layer].strength(gate) for layer, gate in gates.items()])

    def _hidden(self, state: FastState | None, packed: Packed) -> Tensor:
        """[B, T, d] output of the final norm; the logits of most positions are not needed."""
        forward = self.fw.plain if state is None else partial(self.fw.read, state)
        output = forward(
            input_ids=packed.input_ids,
            attention_mask=packed_mask(self.fw.model, packed),
            position_ids=packed.position_ids,
            use_cache=False,
            output_hidden_states=True,
            logits_to_keep=1,
        )
        return output.hidden_states[-1]

    def _lm(self, batch: Batch) -> Losses:
        """Next-token loss of the published form: each chunk read before it is written."""
        (document,) = batch.documents
        result = self._read_and_write(document, None)
        loss = answer_loss(self.fw.model, result.hidden, document.packed.lm_labels)
        return Losses(loss, loss.item(), inner_norm=self._inner_norm(result.state))

    @torch.no_grad()
    def _inner_norm(self, state: FastState | None) -> float:
        if state is None:
            return math.nan
        return torch.stack([norm.mean() for norm in state.norms(self.fw).values()]).mean().item()


class Batches:
    """The micro-batches of a run, each a pure function of the seed and the step."""

    def __init__(self, sampler: Sampler, config: TrainConfig):
        self.sampler, self.config = sampler, config
        self.reader = Reader(sampler, config.episode)

    def batch(self, step: int, micro: int) -> Batch:
        """Micro-batch `micro` of optimiser step `step`."""
        config, rng = self.config, self.sampler.rng(step, micro)
        # All micro-batches of a step are of one kind: processes that share a sharded model run
        # through its layers in step.
        kind = self.sampler.rng(step, 0) if micro else rng
        if config.objective == "lm" or (config.objective == "mixed" and kind.random() < 0.5):
            return self._stream(rng)
        if self._frozen:  # A and C leave nothing to learn
            return self._recall(step, kind, rng)
        draw = kind.random()
        if draw < config.context_share:
            packed = self.reader.context_batch(rng, config.dialogues_per_step)
            return Batch("context", packed=packed)
        if draw < config.context_share + config.empty_share:
            return Batch("empty", packed=self.reader.probes([[e] for e in self._draw(rng)]))
        return self._recall(step, kind, rng)

    @property
    def _frozen(self) -> bool:
        return self.config.regime == "frozen"

    def _draw(self, rng: random.Random) -> list[Encoded]:
        return self.sampler.draw(rng, self.config.dialogues_per_step)

    def _stream(self, rng: random.Random) -> Batch:
        """Own texts; else transcripts: a dialogue, its questions and answers, as running text."""
        if self.sampler.texts.own:
            drawn = self.sampler.texts.rows(rng, self.config.dialogues_per_step)
            nothing = [[] for _ in drawn]
            packed = pack([row.ids for row in drawn], nothing, nothing)
            spans = [(row.start, len(row.ids)) for row in drawn]
            return Batch("lm", [Document(packed, _within(packed, spans))])
        rows = []
        for example in self._draw(rng):
            row = list(example.dialogue)
            for question, answer in zip(example.questions, example.answers, strict=True):
                row += question + answer
            rows.append(row)
        return Batch("lm", [self._text(rows)])

    def _recall(self, step: int, kinds: random.Random, rng: random.Random) -> Batch:
        config, reader = self.config, self.reader
        turns = growing_turns(step, config.growing_steps)
        kind = reader.kind(kinds) if turns is None else "plain"
        size = reader.size(kinds, kind)
        # Cut dialogues are shorter, their questions are not: twice as many cost about as much.
        count = config.dialogues_per_step if turns is None else 2 * config.dialogues_per_step
        groups = reader.groups(rng, size, count, turns)
        documents = [self._dialogues([group[i] for group in groups]) for i in range(len(groups[0]))]
        if kind in ("after", "before"):
            tokens = reader.distance(rng)
            weight = log_uniform(rng, 1.0, config.episode.distractor_weight)
            passages = [reader.text(rng, group, tokens) for group in groups]
            distractor = replace(self._text(passages, weight), shared=config.share_distractors)
            # What is shared is added to a memory that is there; rules without order allow it.
            last = kind == "after" or distractor.shared
            documents.insert(len(documents) if last else 0, distractor)
        contexts = [group[0].dialogue for group in groups] if config.keep_context else None
        # What is worth writing shows only once it can be read back.
        cost = config.gate_cost if turns is None else 0.0
        return Batch("write_drop_read", documents, reader.probes(groups, contexts), cost)

    def _dialogues(self, examples: list[Encoded]) -> Document:
        """Dialogues to write; while each is in context, its probes are asked of it there too."""
        dialogues = [example.dialogue for example in examples]
        if self._frozen or not self.config.context_weight:
            return self._text(dialogues)
        packed = self.reader.probes([[example] for example in examples], dialogues)
        return self._document(packed, dialogues)

    def _text(self, rows: list[list[int]], weight: float = 1.0) -> Document:
        """A document of which everything is written and nothing asked."""
        packed = self.reader.probes([[] for _ in rows], rows)
        return self._document(packed, rows, weight)

    def _document(self, packed: Packed, rows: list[list[int]], weight: float = 1.0) -> Document:
        """Packed rows of which the texts `rows` are written, without what opens the sequence."""
        start = len(self.sampler.prompter.opening)
        return Document(packed, _within(packed, [(start, start + len(r)) for r in rows]), weight)


def _within(packed: Packed, spans: list[tuple[int, int]]) -> Tensor:
    """[B, T] bool: the tokens from the first to before the second place of each row."""
    starts, ends = torch.tensor(spans).T[..., None]
    place = torch.arange(packed.input_ids.shape[1])
    return (place >= starts) & (place < ends)


def written_share(strength: Tensor, written: Tensor) -> Tensor:
    """Share of a text's n tokens that share its writing: (sum s)^2 / (n sum s^2).

    The mean over layers and rows of `strength` [layers, B, T], of which only `written` [B, T] bool
    counts. 1 if all tokens are written alike, 1/n if a single one is. Unlike the mean strength it
    does not fall when all are written more weakly, which larger values would make up for.
    """
    strength = strength * written
    squares = strength.square().sum(-1).clamp_min(torch.finfo(strength.dtype).tiny)
    return (strength.sum(-1).square() / (squares * written.sum(-1))).mean()
