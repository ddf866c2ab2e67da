"""Training of one forecaster: Adam, the epoch with the best validation error, resumable."""

import math
import os
import pickle
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import UserError
from .config import TrainingConfig
from .series.data import Series, Split

CHECKPOINT = "training.pt"
UNREADABLE = (OSError, EOFError, pickle.UnpicklingError)


@dataclass
class Progress:
    """What a resumed training needs, beside the model and its optimiser."""

    epoch: int = 0  # epochs done
    step: int = 0
    best: float = math.inf  # validation MSE
    best_state: dict[str, Tensor] = field(default_factory=dict)
    rows: list[dict] = field(default_factory=list)


class Trainer:
    """Trains one forecaster on one dataset.

    The order of the series depends on the seed and the epoch alone, so that a training resumed
    from its checkpoint gives the same weights as one that was never interrupted.

    Args:
        model: maps inputs [B, T, channels] to forecasts [B, T].
        series: splits on the model's device.
        context_window: the first position that counts in the loss.
        epochs: passes over the training series.
        config: optimiser and batches.
        seed: of the order of the series.
        label: names strategy, dataset and seed in progress lines and errors.
        checkpoints: folder for the state after the last epoch; None keeps none.

    Raises:
        UserError: the checkpoint in `checkpoints` is not one of this model.
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
        """Train, and leave the model with the weights of its best epoch.

        Returns:
            One row per epoch: the columns of the schema EPOCHS that training knows.

        Raises:
            UserError: a loss or gradient is not finite, or a strategy's function failed; names
                strategy, dataset, seed, epoch and step.
        """
        progress, started, resumed_at = self.progress, time.perf_counter(), self.progress.epoch
        while progress.epoch < self.epochs:
            row = self._epoch()
            forecast = predict(self.model, self.valid_split, self.config)
            valid = mse(forecast, self.valid_split, self.context_window).item()
            if not math.isfinite(valid):
                raise UserError(f"{self.label}, epoch {progress.epoch + 1}: validation is {valid}")
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
        """One step on the series `rows`; its loss and gradient norm before clipping."""
        where = f"{self.label}, epoch {self.progress.epoch + 1}, step {self.progress.step + 1}"
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.config, self.progress.step, self.total)
        split = self.train_split
        batch = Split(split.inputs[rows], split.target[rows], split.scored[rows], ())
        try:
            forecast = self.model(batch.inputs)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        loss = mse(forecast, batch, self.context_window)
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip or math.inf)
        found = loss.item(), norm.item()
        if not all(map(math.isfinite, found)):
            raise UserError(f"{where}: loss is {found[0]}, gradient norm {found[1]}")
        self.optimiser.step()
        self.progress.step += 1
        return found

    def _resume(self) -> Progress:
        if self.file is None or not self.file.is_file():
            return Progress()
        device = next(self.model.parameters()).device
        try:
            saved = torch.load(self.file, weights_only=True, map_location=device)
            if saved["origin"] != self._origin:
                raise ValueError(f"of {saved['origin']}")
            torch.set_rng_state(saved["random"].cpu())
            self.model.load_state_dict(saved["model"])
            self.optimiser.load_state_dict(saved["optimiser"])
            progress = Progress(**saved["progress"])
        except (*UNREADABLE, RuntimeError, KeyError, ValueError, TypeError) as error:
            raise UserError(
                f"{self.file}: no checkpoint of {self._origin} ({type(error).__name__}: {error});"
                " remove it to train from the start"
            ) from error
        print(f"{self.label}: resumed after epoch {progress.epoch}", flush=True)
        return progress

    @property
    def _origin(self) -> str:
        """What is trained on what and how: a checkpoint of anything else is refused."""
        return (
            f"{self.label}, {self.epochs} epochs of {len(self.train_split)} series, {self.config}"
        )

    def _save(self) -> None:
        if self.file is None:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": vars(self.progress),
            "origin": self._origin,
            "random": torch.get_rng_state(),
        }
        temporary = self.file.with_name(f".{CHECKPOINT}")
        torch.save(state, temporary)
        os.replace(temporary, self.file)

    def _report(self, row: dict, left: float) -> None:
        print(
            f"{self.label}: epoch {row['epoch']}/{self.epochs}  train {row['train_mse']:.5f}  "
            f"valid {row['valid_mse']:.5f}  {row['seconds']:.1f} s, {left:.0f} s left",
            flush=True,
        )


def learning_rate(config: TrainingConfig, step: int, total: int) -> float:
    """Rate of a step: linear warm-up times cosine decay to `final_fraction` of the peak."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / total)))
    floor = config.final_fraction
    return config.learning_rate * warm * (floor + (1 - floor) * cosine)


@torch.no_grad()
def predict(model: nn.Module, split: Split, config: TrainingConfig) -> Tensor:
    """Forecasts [N, T] of every series of `split`."""
    model.eval()
    return torch.cat([model(inputs) for inputs in split.inputs.split(config.evaluation_batch)])


def mse(forecast: Tensor, split: Split, context_window: int) -> Tensor:
    """Mean squared error over the scored positions from `context_window` on; a scalar.

    Entry t of `forecast` [B, T] meets the target at t + 1.
    """
    counted = split.scored[:, context_window:]
    error = forecast[:, context_window - 1 : -1] - split.target[:, context_window:]
    return (error.square() * counted).sum() / counted.sum().clamp_min(1)
