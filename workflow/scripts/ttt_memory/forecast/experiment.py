"""One job of the forecast study: train one forecaster on one dataset, forecast its test part."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UserError
from ..study import devices
from .config import (
    Dataset,
    Datasets,
    Device,
    EntryConfig,
    ModelConfig,
    TrainingConfig,
    entry_of,
    part,
)
from .forecaster import Task, build, parameters
from .model import MACTitan
from .series.data import Series, Split
from .strategy_checks import check_forecaster
from .trainer import Trainer, mse, predict


@dataclass(frozen=True)
class Job:
    """Who forecasts what."""

    dataset: str
    strategy: str
    kind: str  # strategy, baseline
    seed: int
    entry: EntryConfig
    data: Dataset
    model: ModelConfig
    training: TrainingConfig
    device: torch.device

    @classmethod
    def of(cls, config: Mapping[str, Any], dataset: str, strategy: str, seed: int) -> "Job":
        """The job of a dataset, a forecaster and a seed of a configuration.

        Raises:
            UserError: the dataset or forecaster is not in it, or a key is wrong.
        """
        kind, entry = entry_of(config, strategy)
        datasets = part(config, "datasets", Datasets)
        if dataset not in datasets:
            raise UserError(f"forecast.datasets.{dataset}: missing")
        model = part(config, "model", ModelConfig)
        training = part(config, "training", TrainingConfig)
        device = devices.pick(part(config, "device", Device, "cpu"), "forecast.device")
        return cls(dataset, strategy, kind, seed, entry, datasets[dataset], model, training, device)

    @property
    def label(self) -> str:
        """For progress lines and errors."""
        return f"{self.kind} {self.strategy!r} on {self.dataset!r}, seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """Rows of the job's three files: schemas FORECASTS, EPOCHS and TRACES."""

    forecasts: list[dict]
    epochs: list[dict]
    traces: list[dict]
    test_mse: float


def run(job: Job, series: Series, checkpoints: Path | None = None) -> Outcome:
    """Train (or fit) and forecast. Raises `UserError` as `forecaster.build` and `Trainer` do."""
    window = job.data.context_window
    torch.manual_seed(job.seed)
    model = build(job.strategy, job.entry, job.kind, Task.of(series, window), job.model)
    model = model.to(job.device)
    series = series.to(job.device)
    if hasattr(model, "fit"):
        rows = [_fit(model, series, window, job)]
    else:
        check_forecaster(model, window, len(series.channels), job.label)
        trainer = Trainer(
            model, series, window, job.data.epochs, job.training, job.seed, job.label, checkpoints
        )
        rows = trainer.train()
    test = series.splits["test"]
    forecast = predict(model, test, job.training)
    if not torch.isfinite(forecast).all():
        raise UserError(f"{job.label}: forecasts of the test series hold NaN or infinite values")
    names = {"dataset": job.dataset, "strategy": job.strategy, "seed": job.seed}
    about = {"kind": job.kind, "protocol": model.protocol, "first": window, "unit": series.unit}
    about |= {"parameters": parameters(model), "separate": series.separate}
    return Outcome(
        [{**names, **about, **row} for row in _forecasts(forecast, test, window)],
        [{**names, **row} for row in rows],
        [{**names, **row} for row in traces(model, test, window)],
        mse(forecast, test, window).item(),
    )


def _fit(model: nn.Module, series: Series, window: int, job: Job) -> dict:
    """Fit a baseline that has no gradient; the row of its only epoch."""
    train, valid = series.splits["train"], series.splits["valid"]
    started = time.perf_counter()
    model.fit(train, valid)
    check_forecaster(model, window, len(series.channels), job.label)
    return {
        "epoch": 1,
        "train_mse": float("nan"),
        "valid_mse": mse(predict(model, valid, job.training), valid, window).item(),
        "learning_rate": float("nan"),
        "gradient_norm": float("nan"),
        "seconds": time.perf_counter() - started,
        "best": True,
    }


def _forecasts(forecast: Tensor, split: Split, window: int) -> Iterator[dict]:
    """One row per series of `split`; entry t of `forecast` [N, T] meets the target at t + 1."""
    made = forecast[:, window - 1 : -1].cpu().numpy()
    truth = split.target[:, window:].cpu().numpy()
    scored = split.scored[:, window:].cpu().numpy()
    for number, (row, true, counted) in enumerate(zip(made, truth, scored, strict=True)):
        error = (row - true)[counted].astype(np.float64)
        yield {
            "series": number,
            "forecast": row,
            "truth": true,
            "scored": counted,
            "mse": float(np.mean(error**2)) if counted.any() else float("nan"),
            "mae": float(np.mean(np.abs(error))) if counted.any() else float("nan"),
        }


@torch.no_grad()
def traces(model: nn.Module, split: Split, window: int) -> Iterator[dict]:
    """Recall error and gates of each layer's memory while it reads the first series of `split`.

    A value per chunk stands at the chunk's last sample, a value per token at its own; a gate
    of several entries is averaged. A last chunk that the series does not fill is left out.
    """
    if not isinstance(model, MACTitan):
        return
    _, scans = model.run(split.inputs[:1])
    for layer, (block, scan) in enumerate(zip(model.layers, scans, strict=True)):
        if scan is None:
            continue
        whole = split.inputs.shape[1] // window * window
        quantities = {"recall_error": block.memory.recall_error(scan)}  # [chunks]
        for name, gate in scan.gates.items():
            entries = gate[0]
            kept = 2 if entries.dim() > 1 and entries.shape[1] == window else 1
            quantities[name] = entries.reshape(*entries.shape[:kept], -1).mean(-1).flatten()
        for quantity, values in quantities.items():
            step = len(scan.keys) * window // len(values)
            for index, value in enumerate(values[: whole // step].tolist()):
                yield {
                    "series": 0,
                    "layer": layer,
                    "position": (index + 1) * step - 1,
                    "quantity": quantity,
                    "value": value,
                }
