"""Training: resuming, the epoch that is kept, what counts in the loss, and the rows returned."""

import itertools
from pathlib import Path

import pytest
import torch

from forecast_models import SMALL, TASK, TRAINING, WINDOW, dataset, split, train
from ttt_memory.errors import UserError
from ttt_memory.forecast.config import EntryConfig, SineDataset, TrainingConfig
from ttt_memory.forecast.experiment import Experiment, run
from ttt_memory.forecast.forecaster import build, parameters
from ttt_memory.forecast.loss import mse, predict
from ttt_memory.forecast.seeds.run import Run
from ttt_memory.forecast.series.dataset import Split
from ttt_memory.forecast.trainer import Trainer, learning_rate

CPU = torch.device("cpu")


def forecaster(name: str = "titans_default") -> torch.nn.Module:
    torch.manual_seed(0)
    return build(name, EntryConfig(file=name), "strategy", TASK, SMALL)


def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    (whole,) = train({3: forecaster()}, 4)
    broken = forecaster()
    steps = 0

    def interrupt(*_) -> None:
        nonlocal steps
        steps += 1
        if steps == 8:  # in the third epoch, of three steps each
            raise KeyboardInterrupt

    broken.register_forward_pre_hook(lambda module, _: interrupt() if module.training else None)
    with pytest.raises(KeyboardInterrupt):
        train({3: broken}, 4, folder=tmp_path)
    begun = Run(3, forecaster(), tmp_path)
    Trainer([begun], dataset(), TASK, 4, TRAINING, "test")
    assert begun.progress.epoch == 2
    (resumed,) = train({3: forecaster()}, 4, folder=tmp_path)
    for one, other in zip(whole.best_rows(), resumed.best_rows(), strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_checkpoint_of_another_forecaster_is_refused(tmp_path: Path) -> None:
    (run,) = train({3: forecaster()}, 1, folder=tmp_path)
    with pytest.raises(UserError, match=r"expected a checkpoint of .*remove the file"):
        train({3: forecaster("mesa")}, 1, folder=tmp_path)
    run.file.write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="expected a checkpoint of"):
        train({3: forecaster()}, 1, folder=tmp_path)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    (run,) = train({3: forecaster()}, 1, folder=tmp_path)
    with pytest.raises(UserError, match=r"a checkpoint of test, seed 3, 2 epochs"):
        train({3: forecaster()}, 2, folder=tmp_path)
    run.file.rename(tmp_path / "seed-4.pt")
    with pytest.raises(UserError, match=r"a checkpoint of test, seed 4.*of test, seed 3"):
        train({4: forecaster()}, 1, folder=tmp_path)


def test_the_epoch_with_the_best_validation_forecasts() -> None:
    # With this learning rate, the last epoch is not the best.
    config = TrainingConfig(batch=4, warmup=0, learning_rate=0.05, final_fraction=1.0)
    (run,) = train({0: forecaster("no_memory")}, 8, config=config)
    rows, valid = run.best_rows(), dataset().splits["valid"]
    kept = mse(predict(run.model, valid, 3), valid, TASK).item()
    best = min(rows, key=lambda row: row["valid_mse"])
    assert kept == pytest.approx(best["valid_mse"], rel=1e-6)
    assert [row["best"] for row in rows].index(True) == best["epoch"] - 1
    assert best["epoch"] < 8
    assert [row["epoch"] for row in rows] == list(range(1, 9))


def test_training_learns() -> None:
    rows = train({3: forecaster()}, 6)[0].best_rows()
    assert rows[-1]["train_mse"] < 0.7 * rows[0]["train_mse"]


def test_only_scored_positions_from_the_window_on_count() -> None:
    whole = split(3)
    forecast = torch.zeros_like(whole.target).unsqueeze(-1)
    scored = whole.scored.clone()
    scored[:, 20:30] = False
    part = Split(whole.inputs, whole.target, scored, whole.origins)
    kept = torch.cat([whole.target[:, WINDOW:20], whole.target[:, 30:]], 1)
    torch.testing.assert_close(mse(forecast, part, TASK), kept.square().mean())
    # Entry t forecasts position t + 1.
    perfect = whole.target.roll(-1, 1).unsqueeze(-1)
    assert mse(perfect, whole, TASK) == 0


def test_the_learning_rate_warms_up_and_decays() -> None:
    config = TrainingConfig(learning_rate=1.0, warmup=10, final_fraction=0.1)
    rates = [learning_rate(config, step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) <= 1
    assert rates[100] == pytest.approx(0.1)
    assert all(a < b for a, b in itertools.pairwise(rates[:10]))
    assert all(a > b for a, b in itertools.pairwise(rates[15:]))


@pytest.mark.parametrize("name", ["mesa", "no_memory"])
def test_an_experiment_returns_forecasts_epochs_and_traces(name: str) -> None:
    data = SineDataset(context_window=WINDOW, length=45, epochs=2)
    entry = EntryConfig(file=name)
    wanted = Experiment("waves", name, "strategy", (1,), entry, data, SMALL, TRAINING, CPU)
    ((seed, found),) = run(wanted, dataset())
    assert (
        {row["seed"] for row in [*found.forecasts, *found.epochs, *found.traces]} == {1} == {seed}
    )
    test = dataset().splits["test"]
    assert [row["series"] for row in found.forecasts] == list(range(4))
    for row, truth in zip(found.forecasts, test.target, strict=True):
        assert row["first"] == WINDOW
        assert torch.equal(torch.from_numpy(row["truth"]), truth[WINDOW:])
        error = torch.from_numpy(row["forecast"]) - truth[WINDOW:]
        assert row["mse"] == pytest.approx(error.square().mean().item(), rel=1e-5)
    means = sum(row["mse"] for row in found.forecasts) / 4
    assert means == pytest.approx(found.test_mse, rel=1e-5)
    assert [row["epoch"] for row in found.epochs] == [1, 2]
    model = build(name, entry, "strategy", TASK, SMALL)
    assert found.forecasts[0]["parameters"] == parameters(model) > 0
    quantities = {(row["layer"], row["quantity"]) for row in found.traces}
    expected = {"recall_error", "keep", "weight"} if name == "mesa" else set()
    assert quantities == {(layer, name) for layer in (0, 1) for name in expected}
    first = [row for row in found.traces if row["layer"] == 0]
    places = {q: [r["position"] for r in first if r["quantity"] == q] for q in expected}
    # 45 samples hold five whole chunks of eight tokens; `weight` has a value per token.
    for quantity, found_places in places.items():
        step = 1 if quantity == "weight" else WINDOW
        assert found_places == list(range(step - 1, 40, step))


def test_the_same_seed_gives_the_same_forecasts() -> None:
    data = SineDataset(context_window=WINDOW, length=45, epochs=1)
    entry = EntryConfig(file="mesa")
    wanted = Experiment("waves", "mesa", "strategy", (0, 1), entry, data, SMALL, TRAINING, CPU)
    first, again = (
        {seed: outcome.test_mse for seed, outcome in run(wanted, dataset())} for _ in range(2)
    )
    assert first == again
    assert first[0] != first[1]
