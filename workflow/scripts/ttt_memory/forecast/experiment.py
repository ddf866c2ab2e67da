"""One experiment of the study: train one forecaster on one dataset and forecast its test part."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UserError
from .config import Datasets, EntryConfig, ModelConfig, TrainingConfig, entry_of, part
from .diagnosis import blamed
from .forecaster import Task, build, parameters
from .forecaster_checks import check_forecaster
from .model.mac_titan import MACTitan
from .series.config import Dataset
from .series.dataset import Series, Split
from .trainer import Trainer, mse, predict


@dataclass(frozen=True)
class Experiment:
    """Which forecaster is trained on which dataset, with which seed and settings."""

    dataset: str
    strategy: str  # name of the strategy or baseline
    kind: str  # "strategy" or "baseline"
    seed: int
    entry: EntryConfig
    data: Dataset
    model: ModelConfig
    training: TrainingConfig
    device: torch.device

    @classmethod
    def of(
        cls, config: Mapping[str, Any], dataset: str, strategy: str, seed: int, device: torch.device
    ) -> "Experiment":
        """The experiment that a configuration describes under these names.

        Raises:
            UserError: the configuration lacks the dataset or the forecaster, or a key is wrong.
        """
        kind, entry = entry_of(config, strategy)
        datasets = part(config, "datasets", Datasets)
        if dataset not in datasets:
            known = ", ".join(datasets) or "none"
            raise UserError(f"forecast.datasets.{dataset}: missing; the configuration has {known}")
        model = part(config, "model", ModelConfig)
        training = part(config, "training", TrainingConfig)
        return cls(dataset, strategy, kind, seed, entry, datasets[dataset], model, training, device)

    @property
    def label(self) -> str:
        """Kind, strategy, dataset and seed, for progress lines and errors."""
        return f"{self.kind} {self.strategy!r} on {self.dataset!r}, seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """Rows of the experiment's three files, in the schemas FORECASTS, EPOCHS and TRACES."""

    forecasts: list[dict]
    epochs: list[dict]
    traces: list[dict]
    test_mse: float


def run(experiment: Experiment, series: Series, checkpoints: Path | None = None) -> Outcome:
    """Train (or fit) the forecaster, then forecast the test part of `series`.

    Args:
        experiment: what to train, and how.
        series: the dataset that `experiment.data` describes.
        checkpoints: folder to save to and to resume from; None saves nothing.

    Raises:
        UserError: as `forecaster.build`, `check_forecaster` and `Trainer`, or a forecast of the
            test part is not finite.
    """
    window = experiment.data.context_window
    torch.manual_seed(experiment.seed)
    task = Task.of(series, window)
    model = build(experiment.strategy, experiment.entry, experiment.kind, task, experiment.model)
    model = model.to(experiment.device)
    series = series.to(experiment.device)
    if hasattr(model, "fit"):
        rows = [_fit(model, series, experiment)]
    else:
        check_forecaster(model, window, len(series.channels), experiment.label)
        rows = Trainer(
            model,
            series,
            window,
            experiment.data.epochs,
            experiment.training,
            experiment.seed,
            experiment.label,
            checkpoints,
        ).train()
    test = series.splits["test"]
    forecast = predict(model, test, experiment.training)
    if not torch.isfinite(forecast).all():
        cause = blamed(model, lambda model: predict(model, test, experiment.training).sum())
        raise UserError(
            f"{experiment.label}: forecasts of the test series hold NaN or infinite values{cause}"
        )
    names = {
        "dataset": experiment.dataset,
        "strategy": experiment.strategy,
        "seed": experiment.seed,
    }
    about = {
        "kind": experiment.kind,
        "protocol": model.protocol,
        "first": window,
        "unit": series.unit,
        "parameters": parameters(model),
        "separate": series.separate,
    }
    return Outcome(
        [{**names, **about, **row} for row in _forecasts(forecast, test, window)],
        [{**names, **row} for row in rows],
        [{**names, **row} for row in _traces(model, test, window)],
        mse(forecast, test, window).item(),
    )


def _fit(model: nn.Module, series: Series, experiment: Experiment) -> dict:
    """Fit a baseline that is not trained by gradient; returns the row of its only epoch."""
    train, valid = series.splits["train"], series.splits["valid"]
    window = experiment.data.context_window
    started = time.perf_counter()
    model.fit(train, valid)
    check_forecaster(model, window, len(series.channels), experiment.label)
    return {
        "epoch": 1,
        "train_mse": float("nan"),
        "valid_mse": mse(predict(model, valid, experiment.training), valid, window).item(),
        "learning_rate": float("nan"),
        "gradient_norm": float("nan"),
        "seconds": time.perf_counter() - started,
        "best": True,
    }


def _forecasts(forecast: Tensor, split: Split, window: int) -> Iterator[dict]:
    """One row per series of `split`; entry t of `forecast` [N, T] is for the target at t + 1."""
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
def _traces(model: nn.Module, split: Split, window: int) -> Iterator[dict]:
    """Recall error and gates of each layer's memory over the first series of `split`.

    A value per chunk is placed at the chunk's last sample, a value per token at its own sample.
    A gate with several entries is averaged over them. A last chunk that the series does not fill
    is left out.
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
