"""The training loss: next tokens of texts, or answers after write, drop and read."""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ...fast_weights import FastState, FastWeights, WriteResult
from ..config.training import TrainConfig
from ..models import lora
from ..models.attention_masks import packed_mask
from ..prompts.packing import IGNORE, Packed
from .batches import Batch, WrittenText
from .loss import answer_loss, cross_entropy, divergence, log_probabilities
from .sharding import through_outputs


@dataclass
class Losses:
    """The loss of a batch, and numbers for the training curve.

    Attributes:
        total: scalar, the loss to minimise.
        own: loss of the objective alone.
        context: condition A's loss on the texts written in the same step; NaN if not asked.
        inner_norm: mean over rows and layers of ||dW|| / ||W||; NaN if nothing was written.
    """

    total: Tensor
    own: float
    context: float = math.nan
    inner_norm: float = math.nan


class Objective(nn.Module):
    """The loss of a batch, as one module of base and fast weights that Accelerate can wrap."""

    def __init__(self, fw: FastWeights, config: TrainConfig):
        super().__init__()
        self.fw, self.config = fw, config
        # FSDP asks a model of transformers by this name which modules to shard as a whole.
        self._no_split_modules = fw.model._no_split_modules

    def forward(self, batch: Batch) -> Losses:
        """Write the texts, drop them, and ask the probes with what was written."""
        if batch.objective == "lm":
            return self._lm(batch)
        said = self._said_by_base(batch.kept) if batch.kept else None
        state, results = self._write(batch.texts)
        in_context, strengths = self._asked_while_written(batch.texts, results)
        if batch.context:
            hidden = self._hidden(None, batch.context)
            chosen = batch.context.labels != IGNORE
            in_context.append((hidden[chosen], batch.context.labels[chosen]))
        hidden = self._hidden(state, batch.packed)
        total = answer_loss(self.fw.model, hidden, batch.packed.labels)
        losses = Losses(total, total.item())
        if strengths and batch.gate_cost:
            written = torch.cat([text.written for text in batch.texts], dim=-1)
            share = written_share(torch.cat(strengths, dim=-1), written)
            losses.total = losses.total + batch.gate_cost * share
        if batch.objective == "context" and self.config.lm_weight:
            following = answer_loss(self.fw.model, hidden, batch.packed.lm_labels)
            losses.total = losses.total + self.config.lm_weight * following
        if in_context:
            hidden, labels = (torch.cat(parts) for parts in zip(*in_context, strict=True))
            context = cross_entropy(self.fw.model, hidden, labels)
            losses.total = losses.total + self.config.context_weight * context
            losses.context = context.item()
        if batch.kept:
            hidden = self._hidden(state, batch.kept)[batch.kept.lm_labels != IGNORE]
            apart = divergence(said, log_probabilities(self.fw.model, hidden))
            losses.total = losses.total + self.config.keep_weight * apart
        losses.total = through_outputs(self, losses.total, [result.hidden for result in results])
        losses.inner_norm = self._inner_norm(state)
        return losses

    @torch.no_grad()
    def _said_by_base(self, kept: Packed) -> Tensor:
        """[N, vocabulary] log-probabilities of the untouched base after each token but the last."""
        with lora.without(self.fw.model):
            hidden = self._hidden(None, kept)
            return log_probabilities(self.fw.model, hidden[kept.lm_labels != IGNORE])

    def _write(self, texts: list[WrittenText]) -> tuple[FastState | None, list[WriteResult]]:
        """Write texts in order: the state, readable, and what each pass left."""
        state, results = None, []
        for text in texts:
            results.append(result := self._write_one(text, None if text.shared else state))
            state = state.merge(result.state) if text.shared else result.state
        return state and state.readable(), results

    def _asked_while_written(
        self, texts: list[WrittenText], results: list[WriteResult]
    ) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
        """What the passes that wrote `texts` say beside the state.

        Returns:
            Hidden states [N, d] and labels [N] of the probes asked in context; for each text
            [layers, B, T], how strongly each token was written in each layer.
        """
        in_context, strengths = [], []
        for text, result in zip(texts, results, strict=True):
            labels = text.packed.labels
            if result.gates:
                strengths.append(self.fw.strengths(result.gates))
            if (chosen := labels != IGNORE).any():
                in_context.append((result.hidden[chosen], labels[chosen]))
        return in_context, strengths

    def _write_one(self, text: WrittenText, state: FastState | None) -> WriteResult:
        packed = text.packed
        return self.fw.write(
            input_ids=packed.input_ids,
            attention_mask=packed_mask(self.fw.model, packed),
            position_ids=packed.position_ids,
            write_mask=text.written,
            write_weight=torch.full_like(text.written, text.weight, dtype=torch.float32),
            state=state,
        )

    def _hidden(self, state: FastState | None, packed: Packed) -> Tensor:
        """[B, T, d] output of the final norm. The model's own logits are cut to one position."""
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
        """Next-token loss as published: each chunk reads the fast weights before it is written."""
        (text,) = batch.texts
        result = self._write_one(text, None)
        loss = answer_loss(self.fw.model, result.hidden, text.packed.lm_labels)
        return Losses(loss, loss.item(), inner_norm=self._inner_norm(result.state))

    @torch.no_grad()
    def _inner_norm(self, state: FastState | None) -> float:
        if state is None:
            return math.nan
        return torch.stack([norm.mean() for norm in state.norms(self.fw).values()]).mean().item()


def written_share(strength: Tensor, written: Tensor) -> Tensor:
    """Share of a text's n tokens that take part in its writing: (sum s)^2 / (n sum s^2).

    It is 1 if all tokens are written alike, and 1/n if one token alone is written. The mean of s
    would also fall when every token is written more weakly, and larger values could make up for
    that. This share does not change then.

    Args:
        strength: [layers, B, T] strength s of every token.
        written: [B, T] bool, True for the tokens of the text.

    Returns:
        Scalar, the mean over layers and rows.
    """
    strength = strength * written
    squares = strength.square().sum(-1).clamp_min(torch.finfo(strength.dtype).tiny)
    return (strength.sum(-1).square() / (squares * written.sum(-1))).mean()
