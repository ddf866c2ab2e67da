"""The training loop of pretraining and of runs: schedule, checkpoints, curve, checks of the loss.

The batches of a step depend only on the seed and the step number. So a run that resumes has the
batches and the losses of a run that was not interrupted. Several processes share the micro-batches
of each step and average their gradients; their number changes the result by rounding alone.
"""

import math
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from ...errors import UserError
from ..config.training import OptimiserConfig
from .checkpoints import Checkpoints
from .sharding import average_whole, gather, whole

# Exit status that a shell reports for a process ended by SIGTERM.
TERMINATED = 128 + signal.SIGTERM


@dataclass
class StepOutput:
    """The loss of one micro-batch, and its numbers for the training curve.

    Attributes:
        loss: scalar, the loss to minimise; None after the backward pass.
        objective: what was learned, see `Batch.objective`.
        tokens: number of tokens processed, padding included.
        own_loss: loss of the objective alone.
        context_loss: condition A's loss in the same micro-batch; NaN if not asked.
        inner_norm: mean of ||dW|| / ||W||; NaN if nothing was written.
    """

    loss: Tensor | None
    objective: str
    tokens: int
    own_loss: float
    context_loss: float = math.nan
    inner_norm: float = math.nan


class StepBatches(Dataset):
    """The micro-batches of a schedule as a data set, so that worker processes can make them."""

    def __init__(self, make_batch: Callable[[int, int], object], accumulation: int):
        self.make_batch, self.accumulation = make_batch, accumulation

    def __getitem__(self, place: int) -> object:
        """Micro-batch number `place`, counted from the first step of the schedule."""
        return self.make_batch(*divmod(place, self.accumulation))


@dataclass
class Schedule:
    """How long and how a training runs.

    Attributes:
        steps: number of optimiser steps.
        accumulation: number of micro-batches in a step.
        checkpoint_every: number of steps between checkpoints.
        workers: number of processes that make batches; 0 for the training process.
        optimiser: its settings.
    """

    steps: int
    accumulation: int
    checkpoint_every: int
    workers: int
    optimiser: OptimiserConfig

    def factor(self, step: int) -> float:
        """Factor on the peak learning rates at `step`: linear rise, plateau, linear fall."""
        done = (step + 1) / self.steps
        rise = done / self.optimiser.warmup if self.optimiser.warmup else 1.0
        fall = (
            (1 - done + 1 / self.steps) / self.optimiser.cooldown
            if self.optimiser.cooldown
            else 1.0
        )
        return min(1.0, rise, fall)


@contextmanager
def sigterm() -> Iterator[threading.Event]:
    """Inside the block, SIGTERM only sets the yielded event."""
    received = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: received.set())
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)


def ignore_sigterm(worker: int) -> None:
    """Let a data worker survive SIGTERM, which Slurm sends to all processes: the step needs it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Loop:
    """Runs a schedule. It resumes from the last checkpoint in the folder `checkpoints`, if any."""

    def __init__(
        self,
        accelerator: Accelerator,
        model: nn.Module,
        optimisers: list[torch.optim.Optimizer],
        schedule: Schedule,
        checkpoints: str | Path | None = None,
        label: str = "train",
    ):
        self.accelerator = accelerator
        if schedule.accumulation % accelerator.num_processes:
            raise UserError(
                f"train.accumulation: found {schedule.accumulation}, expected a multiple of the"
                f" {accelerator.num_processes} processes that share a step's micro-batches"
            )
        # The micro-batches of a step that this process computes.
        self.micros = range(
            accelerator.process_index, schedule.accumulation, accelerator.num_processes
        )
        self.model, *self.optimisers = accelerator.prepare(model, *optimisers)
        self.schedule = schedule
        self.checkpoints = Checkpoints(checkpoints, accelerator, self.model, self.optimisers)
        self.label = label
        self.seed = torch.initial_seed()
        self.rows: list[dict] = []

    def run(
        self,
        make_batch: Callable[[int, int], object],
        step_output: Callable[[nn.Module, object], StepOutput],
    ) -> list[dict]:
        """Train to the last step.

        SIGTERM (preemption, or a time limit) ends the run after the current step, with a
        checkpoint. The next start resumes from it.

        Args:
            make_batch: makes a micro-batch from the step and the number of the micro-batch.
            step_output: computes its loss from the model and the micro-batch.

        Returns:
            One row of the curve for each step, with the columns of `schemas.CURVE` but run and
            seed.

        Raises:
            UserError: a loss or gradient is not finite; the message names the step and the
                checkpoint that is kept.
            SystemExit: SIGTERM came; the status is that of a process ended by it.
        """
        with sigterm() as terminated:
            return self._run(make_batch, step_output, terminated)

    def _run(
        self,
        make_batch: Callable[[int, int], object],
        step_output: Callable[[nn.Module, object], StepOutput],
        terminated: threading.Event,
    ) -> list[dict]:
        first, self.rows = self.checkpoints.resume()
        batches = iter(self._batches(make_batch, first))
        started = time.monotonic() - (self.rows[-1]["seconds"] if self.rows else 0.0)
        steps = range(first, self.schedule.steps)
        bar = tqdm(
            steps,
            desc=self.label,
            initial=first,
            total=self.schedule.steps,
            mininterval=5,
            disable=not self.accelerator.is_main_process,
        )
        for step in bar:
            row = self._step(step, batches, step_output)
            row["seconds"] = time.monotonic() - started
            self.rows.append(row)
            bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
            done = step + 1
            if done == self.schedule.steps:
                break
            # A checkpoint needs all processes, but the signal may have reached only some of them.
            stop = any(gather_object([terminated.is_set()]))
            if stop or done % self.schedule.checkpoint_every == 0:
                self.checkpoints.save(done, self.rows)
            if stop:
                self._leave(done)
        if self.checkpoints.sharded:
            gather(self.model, keep=self.accelerator.is_main_process)
        return self.rows

    def _leave(self, done: int) -> None:
        kept = self.checkpoints.latest()
        where = f"goes on from {kept}" if kept else "no folder for checkpoints was given"
        if self.accelerator.is_main_process:
            print(f"{self.label}: SIGTERM after step {done}; {where}", file=sys.stderr)
        raise SystemExit(TERMINATED)

    def _batches(self, make_batch: Callable[[int, int], object], first: int) -> DataLoader:
        accumulation = self.schedule.accumulation
        steps = range(first, self.schedule.steps)
        return DataLoader(
            StepBatches(make_batch, accumulation),
            batch_size=None,
            sampler=[step * accumulation + micro for step in steps for micro in self.micros],
            num_workers=self.schedule.workers,
            worker_init_fn=ignore_sigterm,
        )

    def _step(
        self,
        step: int,
        batches: Iterator[object],
        step_output: Callable[[nn.Module, object], StepOutput],
    ) -> dict:
        factor = self.schedule.factor(step)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["peak_lr"] * factor
        found = []
        for micro in self.micros:
            # Dropout, too, depends only on the seed, the step and the micro-batch.
            torch.manual_seed(random.Random(f"{self.seed}/{step}/{micro}").getrandbits(63))
            # Processes exchange gradients once in a step, with the last micro-batch.
            last = micro == self.micros[-1]
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                output = step_output(self.model, next(batches))
                self._require_finite(output.loss, step, "loss")
                self.accelerator.backward(output.loss / len(self.micros))
            found.append((micro, replace(output, loss=None)))
        if self.checkpoints.sharded:
            average_whole(self.model, self.accelerator)
        norm = self.accelerator.clip_grad_norm_(
            self.model.parameters(), self.schedule.optimiser.clip
        )
        self._require_finite(whole(norm), step, "gradient norm")
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return self._row(step, found, factor)

    def _row(self, step: int, found: list[tuple[int, StepOutput]], factor: float) -> dict:
        """The row of the curve, from the micro-batches of all processes in their order."""
        outputs = [output for _, output in sorted(gather_object(found), key=itemgetter(0))]
        tokens = sum(output.tokens for output in outputs)
        return {
            "step": step,
            "tokens": tokens + (self.rows[-1]["tokens"] if self.rows else 0),
            "objective": outputs[-1].objective,
            "loss": sum(output.own_loss for output in outputs) / len(outputs),
            "context_loss": outputs[-1].context_loss,
            "inner_norm": outputs[-1].inner_norm,
            "learning_rate": factor,
        }

    def _require_finite(self, value: Tensor, step: int, what: str) -> None:
        if not torch.isfinite(value).all():
            kept = self.checkpoints.latest()
            where = (
                f"last checkpoint kept at {kept}" if kept else "no checkpoint had been written yet"
            )
            raise UserError(f"{self.label}: the {what} is not finite at step {step}; {where}")
