"""Train one run: its fast weights, and its base unless that is frozen."""

from pathlib import Path

from accelerate import Accelerator
from torch import nn

from ..errors import UserError
from ..fast_weights import FastWeights
from .check import check_model, check_positions
from .config import RunConfig
from .data import Sampler
from .loop import Loop, Schedule, StepOutput, build_optimisers
from .objectives import Batch, Batches, Objective


def train(
    fw: FastWeights,
    sampler: Sampler,
    run: RunConfig,
    accelerator: Accelerator,
    checkpoints: str | Path | None = None,
    label: str = "train",
) -> list[dict]:
    """Train in place; returns the curve's rows (see `Loop.run`).

    Raises:
        UserError: the objective cannot reach the fast weights, the model or a dialogue cannot be
            read, or a loss is not finite.
    """
    config = run.train
    check_model(fw.to(accelerator.device).model)
    check_positions(fw.model, sampler.prompter, sampler.samples)
    if config.objective != "recall" and not run.fast_weights.read_while_writing:
        raise UserError(
            f"train.objective {config.objective!r} needs fast_weights.read_while_writing: true "
            "(a next-token loss reaches the fast weights only where they are read)"
        )
    fw.model.requires_grad_(config.regime == "joint")
    for parameter in fw.fast_parameters():
        parameter.requires_grad_(True)
    if config.gradient_checkpointing:
        fw.gradient_checkpointing_enable()
    fast = {id(parameter) for parameter in fw.fast_parameters()}
    base = [(name, p) for name, p in fw.model.named_parameters() if id(p) not in fast]
    optimisers = build_optimisers(base, fw.fast_parameters(), config.optimiser)
    schedule = Schedule(
        config.steps, config.accumulation, config.checkpoint_every, config.workers, config.optimiser
    )
    loop = Loop(accelerator, Objective(fw, config), optimisers, schedule, checkpoints, label)
    batches = Batches(sampler, config)

    def step_output(module: nn.Module, batch: Batch) -> StepOutput:
        found = module(batch.to(accelerator.device))
        return StepOutput(
            found.total, batch.objective, batch.tokens, found.own, found.context, found.inner_norm
        )

    fw.train()
    rows = loop.run(batches.batch, step_output)
    fw.eval()
    return rows
