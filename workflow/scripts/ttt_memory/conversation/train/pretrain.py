"""Pretraining of the embedded base model: answers from a dialogue in context, and next tokens.

The model is trained under condition A only and has no fast weights. It learns, at the size of a
laptop, what any causal language model already knows.
"""

from pathlib import Path

from accelerate import Accelerator
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..config.training import PretrainConfig
from ..models.attention_masks import packed_mask
from ..models.requirements import check_model, check_positions
from ..prompts.packing import Packed
from .corpus_sampler import CorpusSampler
from .episodes import EpisodeMaker, growing_turns
from .loop import Loop, Schedule, StepOutput
from .loss import answer_loss
from .optimisers import build_optimisers

# Steps between next-token losses. The logits of every context token cost a third of a step.
LM_EVERY = 8


class ContextLoss(nn.Module):
    """Loss of condition A on packed rows: answers, and in some steps next tokens of the context."""

    def __init__(self, model: PreTrainedModel, lm_weight: float):
        super().__init__()
        self.model, self.lm_weight = model, lm_weight

    def forward(self, batch: Packed, text: bool) -> Tensor:
        """Scalar loss of a packed batch. `text` adds the next-token loss on its contexts."""
        output = self.model.get_decoder()(
            input_ids=batch.input_ids,
            attention_mask=packed_mask(self.model, batch),
            position_ids=batch.position_ids,
            use_cache=False,
        )
        loss = answer_loss(self.model, output.last_hidden_state, batch.labels)
        if text:
            following = answer_loss(self.model, output.last_hidden_state, batch.lm_labels)
            loss = loss + self.lm_weight * following
        return loss


def pretrain(
    model: PreTrainedModel,
    sampler: CorpusSampler,
    config: PretrainConfig,
    accelerator: Accelerator,
    checkpoints: str | Path | None = None,
) -> list[dict]:
    """Train `model` in place, and return the rows of the curve (see `Loop.run`).

    Raises:
        UserError: the model cannot be studied, a dialogue does not fit its positions, or a loss is
            not finite.
    """
    check_model(model)
    check_positions(model, sampler.prompter, sampler.samples)
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

    episodes = EpisodeMaker(sampler, config.episode)
    first, last = config.dialogues_per_step

    def make_batch(step: int, micro: int) -> tuple[Packed, bool]:
        text = step >= config.list_steps and step % LM_EVERY == 0
        return packed_batch(step), text and config.lm_weight > 0

    def packed_batch(step: int) -> Packed:
        count = first + round((last - first) * step / config.steps)
        if step < config.list_steps:
            return episodes.list_batch(sampler.rng(step), count, pairs=1 + step // 12)
        turns = growing_turns(step - config.list_steps, config.growing_steps)
        return episodes.context_batch(sampler.rng(step), count, turns)

    def step_output(module: nn.Module, batch: tuple[Packed, bool]) -> StepOutput:
        packed, text = batch
        loss = module(packed.to(accelerator.device), text)
        return StepOutput(loss, "context", packed.input_ids.numel(), loss.item())

    model.train()
    rows = loop.run(make_batch, step_output)
    model.eval()
    return rows
