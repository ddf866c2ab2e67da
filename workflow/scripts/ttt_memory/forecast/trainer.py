"""Training of one forecaster with Adam, for several seeds as one; each keeps its best epoch.

The conversation study has a loop of its own (`conversation/train/loop.py`), because the two share
little but the order "forward, backward, clip, step". That loop counts steps, spreads micro-batches
over processes, shards a model that fits no GPU, and keeps the last weights. This one counts
epochs, runs on one device and keeps the best weights. An epoch takes seconds and ends with a
checkpoint, so a stopped job loses little and SIGTERM needs no handler here.
"""

import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..errors import UserError
from .config import TrainingConfig
from .diagnosis import blamed
from .forecaster import Task
from .loss import mse, predict
from .seeds.forward import Alone, Forward
from .seeds.probe import together
from .seeds.run import Run
from .seeds.stack import Stack
from .series.dataset import Series, Split

FAILURES = (UserError, RuntimeError)


class Trainer:
    """Trains one forecaster on one dataset, for each of its seeds.

    The order of the series depends on the seed and the epoch alone, so a training resumed from its
    checkpoint gives the same weights as one that was never interrupted. Seeds that have done the
    same number of epochs are trained together, so a seed that is added later is trained by itself.

    Args:
        runs: one for each seed, on the dataset's device.
        series: the dataset.
        task: what its forecaster is given, and how far ahead it forecasts.
        epochs: passes over the training series.
        config: settings of the optimiser, and batch sizes.
        label: names strategy and dataset in progress lines and errors.

    Raises:
        UserError: a checkpoint is unreadable or of another training.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        series: Series,
        task: Task,
        epochs: int,
        config: TrainingConfig,
        label: str,
    ):
        self.runs, self.task, self.epochs = list(runs), task, epochs
        self.train_split, self.valid_split = series.splits["train"], series.splits["valid"]
        self.config, self.label = config, label
        self.total = epochs * math.ceil(len(self.train_split) / config.batch)  # steps
        for run in self.runs:
            if run.resume(self._origin(run)):
                self._say([run], f"resumed after epoch {run.progress.epoch}")

    def train(self) -> None:
        """Train all epochs of every run; a run that cannot go on gets a `failure`.

        A failure is a loss, a gradient or a validation error that is not finite, or a function of
        the strategy that failed. It names strategy, dataset, seed, epoch and step, and the other
        runs go on.
        """
        waiting = [run for run in self.runs if self._goes_on(run)]
        if not waiting:
            return
        forward = None
        if len(waiting) > 1:
            models = [run.model for run in waiting]
            forward, reason = together(models, self.task.context_window, self.task.channels)
            if reason:
                self._say(waiting, f"trained one after another: {reason}")
        for group in [waiting] if forward else [[run] for run in waiting]:
            self._train(group, forward)

    def _train(self, group: list[Run], forward: Forward | None) -> None:
        """Train runs to their end, as a stack that is run by `forward`; None for a single run."""
        while left := [run for run in group if self._goes_on(run)]:
            epoch = min(run.progress.epoch for run in left)
            behind = [run for run in left if run.progress.epoch == epoch]
            try:
                self._epoch(behind, forward)
            except FAILURES as error:
                if forward is None:
                    behind[0].failure = UserError(f"{self._name(behind)}, {error}")
                    behind[0].failure.__cause__ = error
                    continue
                # What a run has done so far is unchanged. Alone it goes on, or fails by itself.
                self._say(left, f"trained one after another from here: {error}")
                for run in left:
                    self._train([run], None)

    def _goes_on(self, run: Run) -> bool:
        return not run.failure and run.progress.epoch < self.epochs

    def _epoch(self, runs: list[Run], forward: Forward | None) -> None:
        """One pass over the training series, the validation error, and a checkpoint of each run.

        Raises:
            UserError, RuntimeError: the forecaster failed. The runs are as they were.
        """
        if forward is None:
            torch.set_rng_state(runs[0].random)
        stack, epoch = Stack(runs, forward or Alone(runs[0].model)), runs[0].progress.epoch
        started = time.perf_counter()
        means = self._steps(stack, epoch)
        if not stack.runs:
            return
        # The share of each seed, so that the sum over seeds is what was spent.
        seconds = (time.perf_counter() - started) / len(runs)
        errors = self._validate(stack, epoch)
        stack.store()
        for run, (loss, norm), error in zip(stack.runs, means.tolist(), errors, strict=True):
            run.random = torch.get_rng_state()
            row = {
                "valid_mse": error,
                "train_mse": loss,
                "gradient_norm": norm,
                "learning_rate": stack.rate,
                "seconds": seconds,
            }
            run.finish_epoch(row, stack.steps, self._origin(run))
        if stack.runs:
            pace = time.perf_counter() - started
            self._report(stack.runs, pace * (self.epochs - epoch - 1))

    def _steps(self, stack: Stack, epoch: int) -> Tensor:
        """All steps of an epoch; each run's mean loss and gradient norm, [S, 2]."""
        orders = torch.stack([self._order(run, epoch) for run in stack.runs])
        found = []
        for place in range(0, orders.shape[1], self.config.batch):
            step = stack.runs[0].progress.step + stack.steps
            where = f"epoch {epoch + 1}, step {step + 1}"
            batch = _rows(self.train_split, orders[:, place : place + self.config.batch])
            rate = learning_rate(self.config, step, self.total)
            try:
                found.append(stack.step(batch, self.task, rate, self.config.clip))
            except FAILURES as error:
                raise UserError(f"{where}: {error}") from error
            kept = self._finite(
                stack,
                found[-1],
                lambda row, where=where: (
                    f"{where}: loss is {row[0]} and gradient norm {row[1]}, expected finite ones"
                ),
                lambda model, place, batch=batch: self._loss(model, _of_run(batch, place)),
            )
            orders, found = orders[kept], [each[kept] for each in found]
            if not kept:
                break
        return torch.stack(found).double().mean(0)

    def _validate(self, stack: Stack, epoch: int) -> list[float]:
        """The validation error of each run; a run whose error is not finite fails."""
        forecast = stack.predict(self.valid_split.inputs, self.config.evaluation_batch)
        errors = mse(forecast, self.valid_split, self.task).unsqueeze(1)
        where = f"epoch {epoch + 1}"
        split = self.valid_split
        kept = self._finite(
            stack,
            errors,
            lambda row: f"{where}: validation MSE is {row[0]}, expected a finite one",
            lambda model, _: mse(
                predict(model, split, self.config.evaluation_batch), split, self.task
            ),
        )
        return errors[kept, 0].tolist()

    def _loss(self, model: nn.Module, batch: Split) -> Tensor:
        return mse(model(batch.inputs), batch, self.task)

    def _finite(
        self,
        stack: Stack,
        found: Tensor,
        words: Callable[[list], str],
        loss_of: Callable[[nn.Module, int], Tensor],
    ) -> list[int]:
        """The places of the runs whose row of `found` [S, k] is finite; the other runs fail.

        `words` tell a row, and `loss_of` gives the loss again of the forecaster at a place, to find
        out where its NaN begins.
        """
        kept = torch.isfinite(found).all(1).tolist()
        if all(kept):
            return list(range(len(kept)))
        for place, (run, row) in enumerate(zip(stack.runs, found.tolist(), strict=True)):
            if not kept[place]:
                stack.store_run(place)
                cause = blamed(run.model, lambda model, place=place: loss_of(model, place))
                run.failure = UserError(f"{self._name([run])}, {words(row)}{cause}")
        places = [place for place, good in enumerate(kept) if good]
        stack.keep(places)
        return places

    def _order(self, run: Run, epoch: int) -> Tensor:
        """The training series of a run's epoch in their order."""
        order = torch.Generator().manual_seed(1_000_003 * run.seed + epoch)
        return torch.randperm(len(self.train_split), generator=order)

    def _origin(self, run: Run) -> str:
        """What is trained, on what and how; a checkpoint with another origin is refused."""
        return (
            f"{self._name([run])}, {self.epochs} epochs of {len(self.train_split)} series,"
            f" horizons {list(self.task.horizons)}, {self.config}"
        )

    def _name(self, runs: list[Run]) -> str:
        seeds = ", ".join(str(run.seed) for run in runs)
        return f"{self.label}, seed{'s' if len(runs) > 1 else ''} {seeds}"

    def _say(self, runs: list[Run], words: str) -> None:
        print(f"{self._name(runs)}: {words}", flush=True)

    def _report(self, runs: list[Run], left: float) -> None:
        rows = [run.progress.rows[-1] for run in runs]
        train, valid = (
            " ".join(f"{row[key]:.5f}" for row in rows) for key in ("train_mse", "valid_mse")
        )
        seconds = sum(row["seconds"] for row in rows)
        self._say(
            runs,
            f"epoch {rows[0]['epoch']}/{self.epochs}  train {train}  valid {valid}"
            f"  {seconds:.1f} s, {left:.0f} s left",
        )


def _rows(split: Split, rows: Tensor) -> Split:
    """Of each run its own series, rows [S, B] of `split`."""
    return Split(split.inputs[rows], split.target[rows], split.scored[rows], ())


def _of_run(batch: Split, place: int) -> Split:
    """The series [B, T] of the run at `place` in those of all runs [S, B, T]."""
    return Split(batch.inputs[place], batch.target[place], batch.scored[place], ())


def learning_rate(config: TrainingConfig, step: int, total: int) -> float:
    """Learning rate of a step: linear warm-up times cosine decay to `final_fraction` of the peak.

    Args:
        config: peak rate, steps of warm-up, final fraction.
        step: steps done before this one.
        total: steps of the whole training.
    """
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
    floor = config.final_fraction
    return config.learning_rate * warm * (floor + (1 - floor) * cosine)
