"""Training of one forecaster with Adam; it keeps the epoch with the best validation error.

The conversation study has a loop of its own (`conversation/train/loop.py`), because the two share
little but the order "forward, backward, clip, step". That loop counts steps, spreads micro-batches
over processes, shards a model that fits no GPU, and keeps the last weights. This one counts
epochs, runs on one device and keeps the best weights. An epoch takes seconds and ends with a
checkpoint, so a stopped job loses little and SIGTERM needs no handler here.
"""

import math
import pickle
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import io
from ..errors import UserError
from .config import TrainingConfig
from .diagnosis import blamed
from .series.dataset import Series, Split

CHECKPOINT = "training.pt"
UNREADABLE = (OSError, EOFError, pickle.UnpicklingError)


@dataclass
class Progress:
    """What a resumed training needs besides the model and its optimiser."""

    epoch: int = 0  # epochs done
    step: int = 0  # steps done
    best: float = math.inf  # the smallest validation MSE so far
    best_state: dict[str, Tensor] = field(default_factory=dict)
    rows: list[dict] = field(default_factory=list)  # one per epoch


class Trainer:
    """Trains one forecaster on one dataset.

    The order of the series depends on the seed and the epoch alone, so a training resumed from its
    checkpoint gives the same weights as one that was never interrupted.

    Args:
        model: maps inputs [B, T, channels] to forecasts [B, T].
        series: the dataset, on the model's device.
        context_window: position of the first sample that counts in the loss.
        epochs: passes over the training series.
        config: settings of the optimiser, and batch sizes.
        seed: decides the order of the series.
        label: names strategy, dataset and seed in progress lines and errors.
        checkpoints: folder for the state after the newest epoch; None saves nothing.

    Raises:
        UserError: the checkpoint in `checkpoints` is unreadable or of another training.
    """

    def __init__(
        self,
        model: nn.Module,
        series: Series,
        context_window: int,
        epochs: int,
        config: TrainingConfig,
        seed: int,
        label: str,
        checkpoints: Path | None = None,
    ):
        self.model, self.context_window, self.epochs = model, context_window, epochs
        self.train_split, self.valid_split = series.splits["train"], series.splits["valid"]
        self.config, self.seed, self.label = config, seed, label
        self.file = checkpoints / CHECKPOINT if checkpoints else None
        self.total = epochs * math.ceil(len(self.train_split) / config.batch)  # steps
        self.optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
        self.progress = self._resume()

    def train(self) -> list[dict]:
        """Train all epochs; the model then has the weights of its best epoch.

        Returns:
            One row per epoch: the schema EPOCHS without dataset, strategy and seed.

        Raises:
            UserError: a loss, a gradient or a validation error is not finite, or a function of the
                strategy failed. The message names strategy, dataset, seed, epoch and step.
        """
        progress, started, resumed_at = self.progress, time.perf_counter(), self.progress.epoch
        while progress.epoch < self.epochs:
            row = self._epoch()
            forecast = predict(self.model, self.valid_split, self.config)
            valid = mse(forecast, self.valid_split, self.context_window).item()
            if not math.isfinite(valid):
                cause = blamed(
                    self.model, lambda model: predict(model, self.valid_split, self.config).sum()
                )
                raise UserError(
                    f"{self.label}, epoch {progress.epoch + 1}: validation MSE is {valid}, expected"
                    f" a finite one{cause}"
                )
            progress.epoch += 1
            progress.rows.append({"epoch": progress.epoch, "valid_mse": valid, **row})
            if valid < progress.best:
                state = self.model.state_dict()
                progress.best_state = {name: part.clone() for name, part in state.items()}
                progress.best = valid
            self._save()
            pace = (time.perf_counter() - started) / (progress.epoch - resumed_at)
            self._report(progress.rows[-1], pace * (self.epochs - progress.epoch))
        self.model.load_state_dict(progress.best_state)
        best = min(progress.rows, key=lambda row: row["valid_mse"])["epoch"]
        return [{**row, "best": row["epoch"] == best} for row in progress.rows]

    def _epoch(self) -> dict:
        """One pass over the training series."""
        self.model.train()
        order = torch.Generator().manual_seed(1_000_003 * self.seed + self.progress.epoch)
        losses, norms, started = [], [], time.perf_counter()
        for rows in torch.randperm(len(self.train_split), generator=order).split(self.config.batch):
            loss, norm = self._step(rows)
            losses.append(loss)
            norms.append(norm)
        return {
            "train_mse": sum(losses) / len(losses),
            "gradient_norm": sum(norms) / len(norms),
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "seconds": time.perf_counter() - started,
        }

    def _step(self, rows: Tensor) -> tuple[float, float]:
        """One step on the series `rows`; returns loss and gradient norm before clipping."""
        where = f"{self.label}, epoch {self.progress.epoch + 1}, step {self.progress.step + 1}"
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.config, self.progress.step, self.total)
        split = self.train_split
        batch = Split(split.inputs[rows], split.target[rows], split.scored[rows], ())
        try:
            loss = self._loss(self.model, batch)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip or math.inf)
        found = loss.item(), norm.item()
        if not all(map(math.isfinite, found)):
            cause = blamed(self.model, lambda model: self._loss(model, batch))
            raise UserError(
                f"{where}: loss is {found[0]} and gradient norm {found[1]}, expected finite"
                f" ones{cause}"
            )
        self.optimiser.step()
        self.progress.step += 1
        return found

    def _loss(self, model: nn.Module, batch: Split) -> Tensor:
        return mse(model(batch.inputs), batch, self.context_window)

    def _resume(self) -> Progress:
        if self.file is None or not self.file.is_file():
            return Progress()
        device = next(self.model.parameters()).device
        try:
            saved = torch.load(self.file, weights_only=True, map_location=device)
            if saved["origin"] != self._origin:
                raise ValueError(f"it is of {saved['origin']}")
            torch.set_rng_state(saved["random"].cpu())
            self.model.load_state_dict(saved["model"])
            self.optimiser.load_state_dict(saved["optimiser"])
            progress = Progress(**saved["progress"])
        except (*UNREADABLE, RuntimeError, KeyError, ValueError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise UserError(
                f"{self.file}: expected a checkpoint of {self._origin}, found another ({reason});"
                " remove the file to train from the start"
            ) from error
        print(f"{self.label}: resumed after epoch {progress.epoch}", flush=True)
        return progress

    @property
    def _origin(self) -> str:
        """What is trained, on what and how; a checkpoint with another origin is refused."""
        return (
            f"{self.label}, {self.epochs} epochs of {len(self.train_split)} series, {self.config}"
        )

    def _save(self) -> None:
        if self.file is None:
            return
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": vars(self.progress),
            "origin": self._origin,
            "random": torch.get_rng_state(),
        }
        with io.beside(self.file) as temporary:
            torch.save(state, temporary)

    def _report(self, row: dict, left: float) -> None:
        print(
            f"{self.label}: epoch {row['epoch']}/{self.epochs}  train {row['train_mse']:.5f}  "
            f"valid {row['valid_mse']:.5f}  {row['seconds']:.1f} s, {left:.0f} s left",
            flush=True,
        )


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


@torch.no_grad()
def predict(model: nn.Module, split: Split, config: TrainingConfig) -> Tensor:
    """Forecasts [N, T] of every series of `split`, with the model in evaluation mode."""
    model.eval()
    return torch.cat([model(inputs) for inputs in split.inputs.split(config.evaluation_batch)])


def mse(forecast: Tensor, split: Split, context_window: int) -> Tensor:
    """Mean squared error over the scored positions from `context_window` on; a scalar tensor.

    Entry t of `forecast` [B, T] is for the target at t + 1.
    """
    counted = split.scored[:, context_window:]
    error = forecast[:, context_window - 1 : -1] - split.target[:, context_window:]
    return (error.square() * counted).sum() / counted.sum().clamp_min(1)
