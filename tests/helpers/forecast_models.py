"""Small forecasters and small series for the forecast tests."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ttt_memory.forecast import libraries, strategy
from ttt_memory.forecast.config import EntryConfig, MemoryConfig, ModelConfig, TrainingConfig
from ttt_memory.forecast.forecaster import Task, build
from ttt_memory.forecast.loss import mse
from ttt_memory.forecast.model.memory import Memory
from ttt_memory.forecast.seeds.run import Run
from ttt_memory.forecast.seeds.stack import Stack
from ttt_memory.forecast.series.config import SwitchDataset
from ttt_memory.forecast.series.dataset import Series, Split
from ttt_memory.forecast.series.scale import Scale
from ttt_memory.forecast.trainer import Trainer

STRATEGIES = sorted(file.stem for file in strategy.STRATEGIES.glob("*.py"))
BASELINES = sorted(file.stem for file in strategy.BASELINES.glob("*.py"))
STRICT_BASELINES = [name for name in BASELINES if name != "titans_published"]
# The package that a baseline needs beside those of the project.
PACKAGES = {"auto_arima": "statsforecast", "nhits": "neuralforecast"}
WINDOW, LENGTH = 8, 45  # samples: five whole chunks and a partial one
SMALL = ModelConfig(width=8, heads=2, layers=2, ffn=16, persistent=2)
TRAINING = TrainingConfig(batch=4, warmup=2)
# A floor is of a dataset whose recipe is known; others do not look at it.
RECIPE = SwitchDataset(source="switch", phases=24, fastest=4)
TASK = Task(context_window=WINDOW, channels=2, observed=True, recipe=RECIPE)


def needs_package(name: str) -> None:
    """Skip a test of a baseline whose library is not installed."""
    if name in PACKAGES and (reason := libraries.missing(PACKAGES[name])):
        pytest.skip(f"{name} {reason}")


def series(count: int, seed: int = 0, length: int = LENGTH) -> Tensor:
    """Inputs [count, length, 2]: a random walk, and a target that follows it by one sample."""
    generator = torch.Generator().manual_seed(seed)
    driver = torch.randn(count, length, 1, generator=generator).cumsum(1) / 3
    noise = 0.1 * torch.randn(count, length, 1, generator=generator)
    return torch.cat([driver, torch.sin(driver).roll(1, 1) + noise], 2)


def split(count: int, seed: int = 0, length: int = LENGTH) -> Split:
    """A split of `count` series in which every sample is scored."""
    inputs = series(count, seed, length)
    scored = torch.ones(count, length, dtype=torch.bool)
    scales = (Scale(),) * count
    return Split(inputs, inputs[:, :, -1], scored, tuple(map(str, range(count))), scales)


def dataset() -> Series:
    """Twelve series for training, four for validation, four for test."""
    splits = {"train": split(12, 0), "valid": split(4, 1), "test": split(4, 2)}
    return Series(splits, ("driver", "target"), "target", observed=True, separate=True)


def train(
    models: dict[int, torch.nn.Module],
    epochs: int,
    label: str = "test",
    config: TrainingConfig = TRAINING,
    folder: Path | None = None,
) -> list[Run]:
    """Train one forecaster, built with these seeds, on the small dataset.

    Raises:
        UserError: the first failure, after all seeds were trained as far as they can be.
    """
    runs = [Run(seed, model, folder) for seed, model in models.items()]
    Trainer(runs, dataset(), TASK, epochs, config, label).train()
    for run in runs:
        if run.failure:
            raise run.failure
    return runs


@cache
def trained(kind: str, name: str) -> torch.nn.Module:
    """A forecaster after two epochs or a fit, in evaluation mode; tests share it unchanged."""
    needs_package(name)
    torch.manual_seed(0)
    model = build(name, EntryConfig(file=name), kind, TASK, SMALL)
    if hasattr(model, "fit"):
        model.fit(dataset().splits["train"], dataset().splits["valid"])
    else:
        with torch.enable_grad():
            train({0: model}, 2)[0].best_rows()
    return model.eval()


def memory_of(name: str, seed: int = 0, width: int = 6, **options: object) -> Memory:
    """A float64 memory of a built-in strategy with these options, without clipping."""
    torch.manual_seed(seed)
    found = strategy.load(name, EntryConfig(file=name, options=options))
    config = MemoryConfig(hidden=7, inner_clip=0.0)
    return Memory(found, width, config).double()


def randomise(module: torch.nn.Module, seed: int = 0) -> None:
    """Give every parameter random values, because some start at zero and would have no effect."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)


def assert_steps_as_alone(stack: Stack, models: Sequence[nn.Module], task: Task) -> None:
    """Loss and gradient of each model in a stack, on series of its own, are those of it alone."""
    part, rows = dataset().splits["train"], torch.arange(4 * len(models)).view(-1, 4)
    batch = Split(part.inputs[rows], part.target[rows], part.scored[rows], ())
    made = stack.forward(stack.tensors(), batch.inputs)
    assert made.shape == (*batch.target.shape, len(task.horizons))
    losses = mse(made, batch, task)
    losses.sum().backward()
    for place, model in enumerate(models):
        own = Split(batch.inputs[place], batch.target[place], batch.scored[place], ())
        loss = mse(model(own.inputs), own, task)
        loss.backward()
        gradient = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
        assert losses[place].item() == pytest.approx(loss.item(), rel=1e-6)
        scale = gradient.abs().max()
        torch.testing.assert_close(
            stack.values.grad[place] / scale, gradient / scale, rtol=0, atol=1e-6
        )
