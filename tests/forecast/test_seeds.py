"""Seeds that are trained as one: each must get what it gets alone, and go on when another fails."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from documents import fence
from forecast_models import (
    LENGTH,
    SMALL,
    STRATEGIES,
    TASK,
    TRAINING,
    WINDOW,
    assert_steps_as_alone,
    dataset,
    train,
)
from ttt_memory.errors import UserError
from ttt_memory.forecast.config import EntryConfig, TrainingConfig
from ttt_memory.forecast.forecaster import build
from ttt_memory.forecast.seeds.forward import Alone, Folded, Vmapped
from ttt_memory.forecast.seeds.probe import together
from ttt_memory.forecast.seeds.run import Run
from ttt_memory.forecast.seeds.stack import Stack, flat
from ttt_memory.forecast.series.dataset import Series, Split
from ttt_memory.forecast.trainer import Trainer

SEEDS = (0, 1, 2)
EXAMPLE = fence((Path(__file__).parents[2] / "docs" / "strategies.md").read_text(), "python")
FORECASTERS = [*(("strategy", name) for name in STRATEGIES), ("baseline", "attention")]


def models(kind: str, file: str, seeds: tuple[int, ...] = SEEDS) -> dict[int, nn.Module]:
    found = {}
    for seed in seeds:
        torch.manual_seed(seed)
        found[seed] = build("mine", EntryConfig(file=file), kind, TASK, SMALL)
    return found


def exact(series: Series) -> Series:
    """The series in double precision."""
    for name, part in series.splits.items():
        inputs, target = part.inputs.double(), part.target.double()
        series.splits[name] = Split(inputs, target, part.scored, part.origins)
    return series


def trained(forecasters: dict[int, nn.Module], series: Series, epochs: int = 2) -> list[Run]:
    """Copies of these forecasters, trained together."""
    runs = [Run(seed, copy.deepcopy(model)) for seed, model in forecasters.items()]
    config = TrainingConfig(batch=4, warmup=0)
    Trainer(runs, series, TASK, epochs, config, "test").train()
    return runs


def assert_trained_alike(found: list[Run], expected: list[Run]) -> None:
    """The same weights and curves up to 1e-6."""
    for one, other in zip(found, expected, strict=True):
        assert one.seed == other.seed
        assert one.failure is other.failure is None
        torch.testing.assert_close(flat(one.model), flat(other.model), rtol=0, atol=1e-6)
        for row, wanted in zip(one.best_rows(), other.best_rows(), strict=True):
            assert {**row, "seconds": 0} == pytest.approx({**wanted, "seconds": 0}, rel=1e-6)


@pytest.mark.parametrize(("kind", "name"), FORECASTERS)
def test_a_seed_is_trained_in_a_stack_as_alone(kind: str, name: str) -> None:
    """In double precision, since Adam's first steps turn rounding of a small gradient into more."""
    forecasters = {seed: model.double() for seed, model in models(kind, name).items()}
    together_ = trained(forecasters, exact(dataset()))
    alone = [trained({seed: model}, exact(dataset()))[0] for seed, model in forecasters.items()]
    assert_trained_alike(together_, alone)
    assert not torch.allclose(flat(together_[0].model), flat(together_[1].model), atol=1e-3)


@pytest.mark.parametrize(("kind", "name"), FORECASTERS)
def test_losses_and_gradients_of_a_stack_are_those_of_each_seed(kind: str, name: str) -> None:
    forecasters = models(kind, name)
    forward, reason = together(list(forecasters.values()), WINDOW, 2)
    assert isinstance(forward, Folded if kind == "strategy" else Vmapped), reason
    stack = Stack([Run(seed, model) for seed, model in forecasters.items()], forward)
    assert_steps_as_alone(stack, list(forecasters.values()), TASK)


class Fuse(nn.Module):
    """Forecasts one trained value, which has no logarithm once training has brought it below 0."""

    def __init__(self, start: float):
        super().__init__()
        self.value = nn.Parameter(torch.tensor([start]))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs[:, :, -1:] * 0 + self.value + 0 * self.value.log()


def test_a_seed_that_diverges_leaves_and_the_others_go_on() -> None:
    series = dataset()
    for name, part in series.splits.items():
        series.splits[name] = Split(part.inputs, part.target * 0 - 9, part.scored, part.origins)
    # Each step of Adam takes about 0.003 away: the second fails in the second of two epochs.
    starts = {0: 5.0, 1: 0.01, 2: 7.0}
    found = trained({seed: Fuse(start) for seed, start in starts.items()}, series)
    message = r"^test, seed 1, epoch 2, step 6: loss is nan and gradient norm nan, expected finite"
    with pytest.raises(UserError, match=message):
        found[1].best_rows()
    assert found[1].progress.epoch == 1
    alone = [trained({seed: Fuse(starts[seed])}, series)[0] for seed in (0, 2)]
    assert_trained_alike([found[0], found[2]], alone)
    assert found[0].progress.step == 6


def test_a_seed_that_is_added_is_trained_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The seeds that were there are taken from their files, also where they had to stop early."""
    expected = train(models("strategy", "mesa", (0, 1, 2)), 3)
    train(models("strategy", "mesa", (0,)), 3, folder=tmp_path)
    capsys.readouterr()
    found = train(models("strategy", "mesa", (0, 1, 2)), 3, folder=tmp_path)
    said = capsys.readouterr().out
    assert "seed 0: resumed after epoch 3" in said
    assert said.count("test, seeds 1, 2: epoch") == 3
    assert said.count("epoch") == 4
    for one, other in zip(found, expected, strict=True):
        assert one.progress.best == pytest.approx(other.progress.best, rel=1e-3)
    # A seed that is behind catches up alone.
    (tmp_path / "seed-1.pt").unlink()
    again = train(models("strategy", "mesa", (0, 1, 2)), 3, folder=tmp_path)
    assert capsys.readouterr().out.count("test, seed 1: epoch") == 3
    assert again[2].progress.rows == found[2].progress.rows


def mine(folder: Path, old: str = "", new: str = "") -> str:
    """The documented strategy as a file, with a change."""
    assert old in EXAMPLE
    path = folder / "mine.py"
    path.write_text(EXAMPLE.replace(old, new) if old else EXAMPLE, encoding="utf-8")
    return str(path)


def test_a_strategy_whose_update_has_trained_values_is_run_by_vmap(tmp_path: Path) -> None:
    forward, reason = together(list(models("strategy", mine(tmp_path)).values()), WINDOW, 2)
    assert isinstance(forward, Vmapped), reason


ALONE = {
    "a decision by values": (
        '    return {"matrix": missing',
        "    if missing.abs().max() > 100:\n        missing = missing / 2\n"
        '    return {"matrix": missing',
        "data-dependent control flow",
    ),
    "a tensor that no parameter holds": (
        "    memory.keep =",
        "    memory.noise = torch.randn(emb_dim)\n    memory.keep =",
        "would differ from those of a seed alone",
    ),
}


@pytest.mark.parametrize("case", ALONE)
def test_what_cannot_be_stacked_is_trained_one_after_another(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new, reason = ALONE[case]
    file = mine(tmp_path, old, new)
    if "noise" in new:
        text = (
            Path(file).read_text().replace("memory.value(x)\n", "memory.value(x) + memory.noise\n")
        )
        Path(file).write_text(text)
    assert_trained_one_by_one(lambda seed: models("strategy", file, (seed,))[seed], reason, capsys)


class Noisy(nn.Module):
    """A baseline with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.head(inputs), 0.3, self.training)


def test_random_numbers_of_a_seed_do_not_depend_on_other_seeds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def noisy(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return Noisy()

    assert_trained_one_by_one(noisy, "it draws random numbers in training", capsys)


def assert_trained_one_by_one(
    built: Callable[[int], nn.Module], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a line that says why, and bit by bit as if there were no other seeds."""
    alone = [train({seed: built(seed)}, 2)[0] for seed in SEEDS]
    # The random numbers of a run begin where its forecaster was built.
    runs = [Run(seed, built(seed)) for seed in SEEDS]
    capsys.readouterr()
    Trainer(runs, dataset(), TASK, 2, TRAINING, "test").train()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "one after" in line]
    assert line.startswith("test, seeds 0, 1, 2: trained one after another: ")
    assert reason in line
    for one, other in zip(runs, alone, strict=True):
        assert torch.equal(flat(one.model), flat(other.model))


def test_a_stack_that_fails_in_training_goes_on_one_after_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A branch on the number of rows, which no probe on fewer series sees."""
    file = mine(
        tmp_path,
        '    return {"matrix": missing',
        "    if len(keys) == 4 and torch._C._functorch.is_batchedtensor(keys):\n"
        '        raise ValueError("not under vmap")\n    return {"matrix": missing',
    )
    expected = train(models("strategy", file, (1,)), 2)
    found = train(models("strategy", file), 2)
    assert "trained one after another from here: epoch 1, step 1" in capsys.readouterr().out
    assert torch.equal(flat(found[1].model), flat(expected[0].model))


def test_each_way_of_running_forecasts_as_the_plain_forecaster() -> None:
    """For a length that ends inside a chunk, and for one shorter than a window."""
    forecasters = models("strategy", "titans_gates")
    runs = [Run(seed, model.eval()) for seed, model in forecasters.items()]
    for length in (LENGTH, WINDOW - 3):
        inputs = torch.randn(3, 2, length, 2)
        for way in (Folded, Vmapped):
            found = way(runs[0].model)(Stack(runs, Alone(runs[0].model)).tensors(), inputs)
            for place, run in enumerate(runs):
                torch.testing.assert_close(
                    found[place], run.model(inputs[place]), rtol=0, atol=1e-6
                )
