"""Training of one run: its fast weights, and by its regime the base or adapters on it."""

from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import nn

from ...errors import UserError
from ...fast_weights import FastWeights
from ...fast_weights.base_model import is_adapter
from ..config.training import RunConfig
from ..models.requirements import check_model, check_positions
from .batches import Batch, BatchMaker
from .corpus_sampler import CorpusSampler
from .gate_fit import fit_gate
from .loop import Loop, Schedule, StepOutput
from .objective import Objective
from .optimisers import build_optimisers


def build_accelerator(mixed_precision: str) -> Accelerator:
    """The Accelerator of this process, alone or started by `accelerate launch`."""
    return Accelerator(
        cpu=not torch.cuda.is_available(),
        mixed_precision=mixed_precision,
        # A step of condition A alone does not use the parameters of the fast weights.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def choose_trained(fw: FastWeights, regime: str) -> None:
    """Switch on gradients for the fast weights and for the part of the base that `regime` trains.

    Raises:
        ValueError: the regime is lora and the model has no adapter.
    """
    fw.requires_grad_(regime == "joint")
    fw.fast.requires_grad_(True)
    if regime == "lora":
        factors = [p for name, p in fw.model.named_parameters() if is_adapter(name)]
        if not factors:
            raise ValueError("regime lora: the model has no adapter; see lora.adapt")
        for factor in factors:
            factor.requires_grad_(True)


def train(
    fw: FastWeights,
    sampler: CorpusSampler,
    run: RunConfig,
    accelerator: Accelerator,
    checkpoints: str | Path | None = None,
    label: str = "train",
) -> list[dict]:
    """Train `fw` in place, and return the rows of the curve (see `Loop.run`).

    Raises:
        UserError: the objective cannot train the fast weights, the model cannot be studied, a
            dialogue does not fit its positions, the chat template refuses one of the user's own
            conversations, or a loss is not finite.
    """
    config = run.train
    check_model(fw.to(accelerator.device).model)
    check_positions(fw.model, sampler.prompter, sampler.samples)
    if config.objective != "write_drop_read" and not run.fast_weights.read_while_writing:
        raise UserError(
            f"train.objective {config.objective!r} needs fast_weights.read_while_writing: true "
            "(a next-token loss trains the fast weights only where they are read)"
        )
    if config.objective != "write_drop_read":
        sampler.passages.check_conversations()
    choose_trained(fw, config.regime)
    if config.gradient_checkpointing:
        fw.gradient_checkpointing_enable()
    if config.fit_gate:  # a checkpoint, if there is one, replaces what is found here
        fit_gate(fw, sampler)
    base = fw.model.named_parameters()
    optimisers = build_optimisers(base, fw.fast_parameters(), config.optimiser)
    schedule = Schedule(
        config.steps, config.accumulation, config.checkpoint_every, config.workers, config.optimiser
    )
    loop = Loop(accelerator, Objective(fw, config), optimisers, schedule, checkpoints, label)
    batches = BatchMaker(sampler, config)

    def step_output(module: nn.Module, batch: Batch) -> StepOutput:
        found = module(batch.to(accelerator.device))
        return StepOutput(
            found.total, batch.objective, batch.tokens, found.own, found.context, found.inner_norm
        )

    fw.train()
    rows = loop.run(batches.batch, step_output)
    fw.eval()
    return rows
