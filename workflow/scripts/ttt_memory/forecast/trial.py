"""Strategies and baselines of the user's, built and tried on random numbers before any job."""

import torch

from ..errors import UserError
from .config import ForecastConfig
from .forecaster import Task, build
from .forecaster_checks import check_forecaster
from .strategy import own_entries


def try_out(config: ForecastConfig) -> None:
    """Build every forecaster whose file is not built in, and check it as its jobs would.

    A baseline that is fitted to data is built and no more.

    Raises:
        UserError: the key of the first one that fails, and what its job would say.
    """
    datasets = config.datasets.values()
    window = min((dataset.context_window for dataset in datasets), default=16)
    observed = all(getattr(dataset, "observe_target", True) for dataset in datasets)
    for kind, name, entry in own_entries(config):
        key = f"forecast.{kind}.{name}"
        singular = "strategy" if kind == "strategies" else "baseline"
        for horizons in _horizons(config, name):
            task = Task(window, channels=2, observed=observed, horizons=horizons)
            try:
                torch.manual_seed(0)
                model = build(name, entry, singular, task, config.model)
                if not hasattr(model, "fit"):
                    check_forecaster(model, task, f"{singular} {name!r}")
            except UserError as error:
                raise UserError(f"{key}: {error}") from error


def _horizons(config: ForecastConfig, name: str) -> list[tuple[int, ...]]:
    """The horizons that a strategy or baseline is asked for, each once."""
    asked = (
        data.horizons for key, data in config.datasets.items() if name in config.of_dataset(key)
    )
    return list(dict.fromkeys(asked))
