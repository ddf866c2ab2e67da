"""Pretraining of the embedded base: answer from a dialogue in context, and model text.

It sees condition A only and has no fast weights: what it learns is what any causal
language model brings along, at the size of a laptop.
"""

from pathlib import Path

from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from .config import PretrainConfig
from .data import Reader, Sampler
from .loop import Loop, Schedule, StepOutput, build_optimisers
from .packing import IGNORE, Packed


def answer_loss(model: PreTrainedModel, hidden: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of the labelled positions.

    `hidden` [B, T, d] is the output of the final norm, `labels` [B, T] the token to predict
    at each position, or IGNORE.
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


def pretrain(
    model: PreTrainedModel,
    sampler: Sampler,
    config: PretrainConfig,
    accelerator: Accelerator,
    checkpoints: str | Path | None = None,
) -> list[dict]:
    """Train `model` in place; returns the curve's rows (see `Loop.run`)."""
    optimisers = build_optimisers(model.named_parameters(), [], config.optimiser)
    schedule = Schedule(config.steps, 1, config.checkpoint_every, config.workers, config.optimiser)
    loop = Loop(
        accelerator,
        ContextLoss(model, config.lm_weight),
        optimisers,
        schedule,
        checkpoints,
        "pretrain",
    )

    reader = Reader(sampler, config.reading)
    first, last = config.dialogues_per_step

    def make_batch(step: int, micro: int) -> Packed:
        count = first + round((last - first) * step / config.steps)
        if step < config.list_steps:
            return reader.list_batch(sampler.rng(step), count, pairs=1 + step // 12)
        return reader.context_batch(sampler.rng(step), count)

    def step_output(module: nn.Module, batch: Packed) -> StepOutput:
        loss = module(batch.to(accelerator.device))
        return StepOutput(loss, "context", batch.input_ids.numel())

    model.train()
    rows = loop.run(make_batch, step_output)
    model.eval()
    return rows
