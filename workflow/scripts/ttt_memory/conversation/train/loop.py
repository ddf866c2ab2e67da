"""The training loop that pretraining and every run share: schedule, resume, curves, guard.

A step is a pure function of (seed, step number), so a resumed run sees the batches an
uninterrupted one would have seen, and its losses are the same. Several processes share the
micro-batches of each step and average their gradients: how many there are shapes no result.
"""

import json
import math
import random
import shutil
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
from accelerate.utils import DistributedType, broadcast_object_list, gather_object
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from ...errors import UserError
from ...io import beside
from ..config.training import OptimiserConfig
from .sharding import average_whole, gather, holds_shards, load_shards, save_shards, whole

# What a shell reports of a process that SIGTERM ended.
TERMINATED = 128 + signal.SIGTERM


@dataclass
class StepOutput:
    """What one micro-batch gives: the loss to minimise and what to write into the curve."""

    loss: Tensor | None  # None once its gradient is taken
    objective: str
    tokens: int
    own_loss: float  # of the objective alone, without what is added to it
    context_loss: float = math.nan
    inner_norm: float = math.nan


class StepBatches(Dataset):
    """Micro-batches by their place in the schedule, so that worker processes can make them."""

    def __init__(self, make_batch: Callable[[int, int], object], accumulation: int):
        self.make_batch, self.accumulation = make_batch, accumulation

    def __getitem__(self, place: int) -> object:
        """The micro-batch number `place` of the whole schedule."""
        return self.make_batch(*divmod(place, self.accumulation))


@dataclass
class Schedule:
    """Steps, micro-batches per step, worker processes for data, the optimiser's settings."""

    steps: int
    accumulation: int
    checkpoint_every: int
    workers: int
    optimiser: OptimiserConfig

    def factor(self, step: int) -> float:
        """Learning-rate factor at `step`: linear rise, plateau, linear fall."""
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
    """Within the block, SIGTERM sets the yielded event and does nothing else."""
    received = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: received.set())
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)


def ignore_sigterm(worker: int) -> None:
    """Slurm signals every process of a job: without its workers the step could not be finished."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Loop:
    """Runs a schedule over `step_output(step, micro)`, resuming from `checkpoints` if it can."""

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
        # This process's own of a step's micro-batches.
        self.micros = range(
            accelerator.process_index, schedule.accumulation, accelerator.num_processes
        )
        self.model, *self.optimisers = accelerator.prepare(model, *optimisers)
        self.schedule = schedule
        self.checkpoints = Path(checkpoints) if checkpoints else None
        self.label = label
        self.seed = torch.initial_seed()
        self.rows: list[dict] = []

    def run(
        self,
        make_batch: Callable[[int, int], object],
        step_output: Callable[[nn.Module, object], StepOutput],
    ) -> list[dict]:
        """Train to the last step; returns one curve row per step (columns of schemas.CURVE).

        `make_batch(step, micro)` makes a micro-batch, `step_output(model, batch)` its loss.

        SIGTERM (preemption, a time limit) ends the run after the step in progress, with a
        checkpoint: run again, it goes on from there.

        Raises:
            UserError: a loss or gradient is not finite; names the step and the kept checkpoint.
            SystemExit: SIGTERM came, with the status of a process that it ended.
        """
        with sigterm() as terminated:
            return self._run(make_batch, step_output, terminated)

    def _run(
        self,
        make_batch: Callable[[int, int], object],
        step_output: Callable[[nn.Module, object], StepOutput],
        terminated: threading.Event,
    ) -> list[dict]:
        first = self._resume()
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
            # A checkpoint takes all processes; the signal may have reached some of them only.
            stop = any(gather_object([terminated.is_set()]))
            if stop or done % self.schedule.checkpoint_every == 0:
                self._save(done)
            if stop:
                self._leave(done)
        if self._sharded:
            gather(self.model, keep=self.accelerator.is_main_process)
        return self.rows

    @property
    def _sharded(self) -> bool:
        return self.accelerator.distributed_type == DistributedType.FSDP

    @property
    def _unwrapped(self) -> list[torch.optim.Optimizer]:
        return [optimiser.optimizer for optimiser in self.optimisers]

    def _leave(self, done: int) -> None:
        kept = (
            f"goes on from {self._latest()}" if self.checkpoints else "no checkpoint was asked for"
        )
        if self.accelerator.is_main_process:
            print(f"{self.label}: SIGTERM after step {done}; {kept}", file=sys.stderr)
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
            # Dropout too depends on nothing but the seed and the step.
            torch.manual_seed(random.Random(f"{self.seed}/{step}/{micro}").getrandbits(63))
            # Gradients are exchanged once a step.
            last = micro == self.micros[-1]
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                output = step_output(self.model, next(batches))
                self._require_finite(output.loss, step, "loss")
                self.accelerator.backward(output.loss / len(self.micros))
            found.append((micro, replace(output, loss=None)))
        if self._sharded:
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
        """The curve's row, of the micro-batches of all processes in their order."""
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
            kept = self._latest()
            where = (
                f"last checkpoint kept at {kept}" if kept else "no checkpoint had been written yet"
            )
            raise UserError(f"{self.label}: the {what} is not finite at step {step}; {where}")

    def _latest(self) -> Path | None:
        if self.checkpoints is None or not self.checkpoints.is_dir():
            return None
        # One that is not whole, or of a model spread otherwise, is as if it were not there.
        whole = [
            path
            for path in self.checkpoints.glob("step-*")
            if (path / "curve.json").is_file() and holds_shards(path) == self._sharded
        ]
        return max(whole, default=None, key=lambda path: int(path.name.split("-")[1]))

    def _save(self, step: int) -> None:
        if self.checkpoints is None:
            return
        main = self.accelerator.is_main_process
        target = self.checkpoints / f"step-{step:06d}"
        with beside(target) if main else nullcontext() as temporary:
            (shared,) = broadcast_object_list([temporary])
            # Accelerate's own checkpoint of a sharded model holds one optimiser.
            if self._sharded:
                save_shards(self.model, self._unwrapped, shared)
            else:
                self.accelerator.save_state(str(shared))
            self.accelerator.wait_for_everyone()
            if main:
                (temporary / "curve.json").write_text(json.dumps(self.rows))
        if not main:
            return
        whole = sorted(self.checkpoints.glob("step-*"))
        for old in whole[:-2]:
            shutil.rmtree(old)

    def _resume(self) -> int:
        latest = self._latest()
        if latest is None:
            return 0
        if self._sharded:
            load_shards(self.model, self._unwrapped, latest)
        else:
            self.accelerator.load_state(str(latest))
        self.rows = json.loads((latest / "curve.json").read_text())
        return int(latest.name.split("-")[1])
