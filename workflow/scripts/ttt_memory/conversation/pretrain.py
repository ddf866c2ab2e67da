"""Pretraining of the embedded base: answer from a dialogue in context, and model text.

It sees condition A only and has no fast weights: what it learns is what any causal
language model brings along, at the size of a laptop.
"""

from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from .config import PretrainConfig
from .data import Sampler, log_uniform
from .loop import Loop, Schedule, StepOutput, build_optimisers
from .packing import IGNORE, Packed, pack


def answer_loss(model: PreTrainedModel, hidden: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the labelled positions.

    Args:
        hidden: [B, T, d] output of the final norm.
        labels: [B, T] token to predict at each position, or IGNORE.
    """
    chosen = labels != IGNORE
    logits = model.get_output_embeddings()(hidden[chosen])
    return F.cross_entropy(logits.float(), labels[chosen])


class ContextLoss(nn.Module):
    """Loss of condition A on packed rows: answers, plus next tokens of the context."""

    def __init__(self, model: PreTrainedModel, lm_weight: float):
        super().__init__()
        self.model, self.lm_weight = model, lm_weight

    def forward(self, batch: Packed) -> Tensor:
        """Scalar loss of a packed batch."""
        output = self.model.model(
            input_ids=batch.input_ids,
            attention_mask=batch.mask,
            position_ids=batch.position_ids,
            use_cache=False,
        )
        loss = answer_loss(self.model, output.last_hidden_state, batch.labels)
        if self.lm_weight:
            text = answer_loss(self.model, output.last_hidden_state, batch.lm_labels)
            loss = loss + self.lm_weight * text
        return loss


def context_batch(sampler: Sampler, config: PretrainConfig, step: int) -> Packed:
    """The packed batch of a pretraining step; batches grow linearly over the schedule."""
    first, last = config.dialogues_per_step
    rng = sampler.rng(step)
    examples = sampler.draw(rng, first + round((last - first) * step / config.steps))
    contexts = [example.dialogue for example in examples]
    if rng.random() < config.distractor_share:
        tokens = round(log_uniform(rng, *config.distractor_tokens))
        contexts = [
            context + sampler.texts.draw(rng, example.language, tokens)
            for context, example in zip(contexts, examples, strict=True)
        ]
    return pack(contexts, [e.questions for e in examples], [e.answers for e in examples])


def pretrain(
    model: PreTrainedModel,
    sampler: Sampler,
    config: PretrainConfig,
    accelerator: Accelerator,
    checkpoints: str | Path | None = None,
) -> list[dict]:
    """Train `model` in place; returns the curve's rows (see `Loop.run`)."""
    optimisers = build_optimisers(model.named_parameters(), [], config.optimiser)
    schedule = Schedule(config.steps, 1, config.checkpoint_every, config.optimiser)
    loop = Loop(
        accelerator, ContextLoss(model, config.lm_weight), optimisers, schedule, checkpoints, "pretrain"
    )

    def step_output(module: nn.Module, step: int, micro: int) -> StepOutput:
        batch = context_batch(sampler, config, step)
        loss = module(batch.to(accelerator.device))
        return StepOutput(loss, "context", batch.input_ids.numel())

    model.train()
    rows = loop.run(step_output)
    model.eval()
    return rows
