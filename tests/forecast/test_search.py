"""The search for a learning rate: what it chooses, what it costs, and that it goes on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from forecast_models import SMALL, WINDOW, dataset
from ttt_memory.errors import UserError
from ttt_memory.forecast.config import EntryConfig, SearchConfig, SineDataset, TrainingConfig
from ttt_memory.forecast.experiment import Experiment, run

DATA = SineDataset(context_window=WINDOW, length=45, epochs=2)
TRAINING = TrainingConfig(batch=4, warmup=2)
ENTRY = EntryConfig(file="no_memory")
CPU = torch.device("cpu")
PLAIN = Experiment("waves", "no_memory", "strategy", (3, 4), ENTRY, DATA, SMALL, TRAINING, CPU)
RATES = (1e-7, 0.01, 1e-6)


def test_all_seeds_are_trained_with_the_best_rate_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = dict(run(replace(PLAIN, rates=RATES), dataset(), tmp_path))
    best = replace(PLAIN, training=TRAINING.model_copy(update={"learning_rate": 0.01}))
    alone = dict(run(best, dataset()))
    assert "trained with learning rate 0.01" in capsys.readouterr().out
    for seed in (3, 4):
        assert found[seed].test_mse == alone[seed].test_mse
    again = dict(run(replace(PLAIN, rates=RATES), dataset(), tmp_path))
    assert "epoch 1/2" not in capsys.readouterr().out  # nothing is trained twice
    # Its cost is counted, a share for each seed, also where it was resumed.
    for outcomes in (found, again):
        seconds = [row["seconds"] for row in outcomes[4].epochs]
        searched = [torch.load(path)["progress"]["rows"] for path in tmp_path.glob("rate-*/*.pt")]
        spent = sum(row["seconds"] for rows in searched for row in rows)
        trained = torch.load(tmp_path / "seed-4.pt")["progress"]["rows"]
        assert seconds[0] == pytest.approx(trained[0]["seconds"] + spent / 2)
        assert seconds[1] == trained[1]["seconds"]
    assert len(searched) == 3


def test_a_rate_that_fails_is_out_and_all_that_fail_are_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    training = TRAINING.model_copy(update={"clip": 0.0})
    wanted = replace(PLAIN, seeds=(3,), training=training)
    ((_, found),) = run(replace(wanted, rates=(1e30, 0.01)), dataset())
    assert "learning rate 1e+30 failed" in capsys.readouterr().out
    assert max(row["learning_rate"] for row in found.epochs) <= 0.01
    with pytest.raises(UserError, match="failed with every learning rate"):
        list(run(replace(wanted, rates=(1e30,)), dataset()))


@pytest.mark.parametrize("rates", [[0.1, 0.1], [0.0], [-1]])
def test_rates_are_distinct_and_positive(rates: list[float]) -> None:
    with pytest.raises(ValidationError, match="expected distinct ones above 0"):
        SearchConfig(learning_rates=rates)
