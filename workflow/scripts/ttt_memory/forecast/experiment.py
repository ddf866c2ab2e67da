"""One experiment of the study: train one forecaster on one dataset and forecast its test part."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UserError
from .config import Datasets, EntryConfig, ModelConfig, SearchConfig, TrainingConfig, entry_of, part
from .diagnosis import blamed
from .forecaster import Task, build, parameters
from .forecaster_checks import check_forecaster
from .loss import aligned, mse, predict
from .matching import matched_sizes
from .model.mac_titan import MACTitan
from .search import best_rate
from .seeds.run import Run
from .series.config import Dataset
from .series.dataset import Series, Split
from .trainer import Trainer


@dataclass(frozen=True)
class Experiment:
    """Which forecaster is trained on which dataset, with which seeds and settings."""

    dataset: str
    strategy: str  # name of the strategy or baseline
    kind: str  # "strategy" or "baseline"
    seeds: tuple[int, ...]
    entry: EntryConfig
    data: Dataset
    model: ModelConfig
    training: TrainingConfig
    device: torch.device
    rates: tuple[float, ...] = ()  # learning rates that are tried
    matched: EntryConfig | None = None  # the strategy that has as many parameters

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any],
        dataset: str,
        strategy: str,
        seeds: Sequence[int],
        device: torch.device,
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
        data = datasets[dataset]
        matched = entry_of(config, entry.match)[1] if entry.match else None
        rates = part(config, "search", SearchConfig).learning_rates
        settings = (entry, data, model, training, device, rates, matched)
        return cls(dataset, strategy, kind, tuple(seeds), *settings)

    @property
    def epochs(self) -> int:
        """Passes over the training series."""
        return self.data.epochs * self.entry.epochs_factor

    @property
    def label(self) -> str:
        """Kind, strategy and dataset, for progress lines and errors."""
        return f"{self.kind} {self.strategy!r} on {self.dataset!r}"

    def label_of(self, seed: int) -> str:
        """The label with a seed."""
        return f"{self.label}, seed {seed}"


@dataclass(frozen=True)
class Outcome:
    """Rows of one seed's three files, in the schemas FORECASTS, EPOCHS and TRACES."""

    forecasts: list[dict]
    epochs: list[dict]
    traces: list[dict]
    test_mse: float  # mean over horizons

    def of_seed(self, seed: int) -> "Outcome":
        """The same outcome for another seed."""
        rows = (self.forecasts, self.epochs, self.traces)
        return Outcome(*([{**row, "seed": seed} for row in part] for part in rows), self.test_mse)


def run(
    experiment: Experiment, series: Series, checkpoints: Path | None = None
) -> Iterator[tuple[int, Outcome]]:
    """Train (or fit) the forecaster with every seed, then forecast the test part of `series`.

    Args:
        experiment: what to train, and how.
        series: the dataset that `experiment.data` describes.
        checkpoints: folder to save to and to resume from, with a file for each seed; None saves
            nothing.

    Yields:
        Each seed with its outcome.

    Raises:
        UserError: as `forecaster.build`, `matched_sizes` and `check_forecaster`. After the outcomes
            of the seeds that could be trained: one could not, or a forecast of the test part is
            not finite.
    """
    series, experiment = series.to(experiment.device), _sized(experiment, series)
    first = _built(experiment, series, experiment.seeds[0])
    if not hasattr(first, "fit"):
        yield from _trained(experiment, series, checkpoints)
    elif getattr(first, "seedless", False):
        # Fitted once; the other seeds have the same rows.
        outcome = _fitted(experiment, series, experiment.seeds[0])
        for seed in experiment.seeds:
            yield seed, outcome.of_seed(seed)
    else:
        for seed in experiment.seeds:
            yield seed, _fitted(experiment, series, seed)


def _sized(experiment: Experiment, series: Series) -> Experiment:
    """The experiment with the sizes that match a strategy's parameters, if its entry names one."""
    if experiment.matched is None:
        return experiment
    task = Task.of(series, experiment.data)
    name, kind, entry = experiment.strategy, experiment.kind, experiment.entry
    sizes = matched_sizes(name, kind, entry, experiment.matched, task, experiment.model)
    model = build(name, entry, kind, task, sizes)
    print(
        f"{experiment.label}: width {sizes.width} and ffn {sizes.ffn} give"
        f" {parameters(model):,} parameters, close to those of {entry.match!r}",
        flush=True,
    )
    return replace(experiment, model=sizes)


def _built(experiment: Experiment, series: Series, seed: int) -> nn.Module:
    """The forecaster as it begins with a seed, which also decides the random numbers after it."""
    torch.manual_seed(seed)
    task = Task.of(series, experiment.data)
    model = build(experiment.strategy, experiment.entry, experiment.kind, task, experiment.model)
    return model.to(experiment.device)


def _trained(
    experiment: Experiment, series: Series, checkpoints: Path | None
) -> Iterator[tuple[int, Outcome]]:
    """Train all seeds by gradient; the outcome of each that could be trained, then an error."""
    settings, spent = experiment.training, 0.0
    if experiment.rates:
        first = experiment.seeds[:1]
        settings, spent = best_rate(
            lambda tried, folder: _runs(experiment, series, first, tried, folder)[0],
            experiment.rates,
            settings,
            experiment.label,
            checkpoints,
        )
    runs = _runs(experiment, series, experiment.seeds, settings, checkpoints)
    failures = []
    for run in runs:
        try:
            first, *later = run.best_rows()
            # The search is for all seeds, so each has a share of its cost.
            first = {**first, "seconds": first["seconds"] + spent / len(runs)}
            yield run.seed, _outcome(experiment, series, run.seed, run.model, [first, *later])
        except UserError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise UserError("; ".join(map(str, failures)))


def _runs(
    experiment: Experiment,
    series: Series,
    seeds: Sequence[int],
    settings: TrainingConfig,
    checkpoints: Path | None,
) -> list[Run]:
    """Train these seeds by gradient to their end; a run that could not be has a failure."""
    task, runs = Task.of(series, experiment.data), []
    for seed in seeds:
        model = _built(experiment, series, seed)
        check_forecaster(model, task, experiment.label_of(seed))
        runs.append(Run(seed, model, checkpoints))
    Trainer(runs, series, task, experiment.epochs, settings, experiment.label).train()
    return runs


def _fitted(experiment: Experiment, series: Series, seed: int) -> Outcome:
    """Fit a baseline that is not trained by gradient; its curve is one epoch."""
    model = _built(experiment, series, seed)
    train, valid = series.splits["train"], series.splits["valid"]
    task = Task.of(series, experiment.data)
    started = time.perf_counter()
    model.fit(train, valid)
    check_forecaster(model, task, experiment.label_of(seed))
    forecast = predict(model, valid, experiment.training.evaluation_batch)
    row = {
        "epoch": 1,
        "train_mse": float("nan"),
        "valid_mse": mse(forecast, valid, task).item(),
        "learning_rate": float("nan"),
        "gradient_norm": float("nan"),
        "seconds": time.perf_counter() - started,
        "best": True,
    }
    return _outcome(experiment, series, seed, model, [row])


def _outcome(
    experiment: Experiment, series: Series, seed: int, model: nn.Module, rows: list[dict]
) -> Outcome:
    """The outcome of a seed, whose forecaster is trained and whose curve has these rows."""
    task, test = Task.of(series, experiment.data), series.splits["test"]
    forecast = predict(model, test, experiment.training.evaluation_batch)
    if not torch.isfinite(forecast).all():
        batch = experiment.training.evaluation_batch
        cause = blamed(model, lambda model: predict(model, test, batch).sum())
        raise UserError(
            f"{experiment.label_of(seed)}: forecasts of the test series hold NaN or infinite"
            f" values{cause}"
        )
    names = {"dataset": experiment.dataset, "strategy": experiment.strategy, "seed": seed}
    about = {
        "kind": getattr(model, "kind", experiment.kind),
        "protocol": model.protocol,
        "parameters": parameters(model),
        "separate": series.separate,
    }
    return Outcome(
        [{**names, **about, **row} for row in _forecasts(forecast, test, task)],
        [{**names, **row} for row in rows],
        [{**names, **row} for row in _traces(model, test, task.context_window)],
        mse(forecast, test, task).item(),
    )


def _forecasts(forecast: Tensor, split: Split, task: Task) -> Iterator[dict]:
    """One row per horizon and series of `split`, from forecasts [N, T, H]."""
    for one in aligned(forecast, split, task):
        arrays = (tensor.cpu().numpy() for tensor in (one.forecast, one.target, one.scored))
        for number, (row, true, counted) in enumerate(zip(*arrays, strict=True)):
            error = (row - true)[counted].astype(np.float64)
            yield {
                "horizon": one.horizon,
                "series": number,
                "first": one.first,
                "unit": split.scales[number].unit,
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
