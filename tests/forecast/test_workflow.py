"""The forecast study in the workflow: a strategy file changes the jobs of that strategy alone."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from clone import ROOT, Clone, copy_repository
from documents import fence

SMOKE = ("--configfile", "config/smoke.yaml")


def preset(clone: Clone, text: str) -> str:
    """Write a preset with this text; returns its path."""
    (clone.path / "config" / "forecast_mine.yaml").write_text(text)
    return "config/forecast_mine.yaml"


def my_memory(clone: Clone) -> Path:
    """Write the documented example as a user's file; returns its path."""
    path = clone.path / "my_memory.py"
    text = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
    path.write_text(fence(text, "python"), encoding="utf-8")
    return path


def test_adding_a_strategy_runs_its_own_jobs_and_the_leaderboard(executed: Clone) -> None:
    my_memory(executed)
    mine = preset(executed, "forecast: {strategies: {mine: my_memory.py}}")
    assert executed.planned(*SMOKE, mine) == {
        "forecast": 1,
        "leaderboard": 1,
        "report": 1,
        "provenance": 1,
        "all": 1,
    }


def test_editing_a_strategy_reruns_its_own_jobs_and_the_leaderboard(executed: Clone) -> None:
    path = executed.path / "workflow/scripts/ttt_memory/forecast/strategies/mesa.py"
    before = path.read_text()
    try:
        path.write_text(before.replace('"forget_bias": 6.0', '"forget_bias": 5.0'))
        planned = executed.planned(*SMOKE)
    finally:
        path.write_text(before)
    assert planned == {"forecast": 1, "leaderboard": 1, "report": 1, "provenance": 1, "all": 1}


def test_an_option_of_one_strategy_concerns_no_other(executed: Clone) -> None:
    mine = preset(
        executed, "forecast: {strategies: {mesa: {file: mesa, options: {forget_bias: 4.0}}}}"
    )
    assert executed.planned(*SMOKE, mine) == {
        "forecast": 1,
        "leaderboard": 1,
        "report": 1,
        "provenance": 1,
        "all": 1,
    }


def test_a_seed_that_is_added_takes_the_others_from_their_checkpoints(tmp_path: Path) -> None:
    """One job for all seeds; the seed that was there is not trained again."""
    clone = copy_repository(tmp_path / "seeds")
    folder = Path("results/smoke/forecast/sinwave/mesa")
    first, added = (clone.path / folder / seed / "forecasts.parquet" for seed in ("0", "5"))
    result = clone.snakemake("--profile", "local", *SMOKE, "--", f"{folder}/0/forecasts.parquet")
    assert result.returncode == 0, result.stdout
    before = pq.read_table(first)
    mine = (*SMOKE, preset(clone, "forecast: {seeds: [0, 5]}"))
    target = ("--", f"{folder}/5/forecasts.parquet")
    assert clone.planned(*mine, *target) == {"forecast": 1}
    result = clone.snakemake("--profile", "local", *mine, *target)
    assert result.returncode == 0, result.stdout
    said = (clone.path / "results/smoke/logs/forecast/sinwave/mesa.log").read_text()
    assert "seed 0: resumed after epoch 2" in said
    assert said.count("seed 5: epoch") == 2
    assert said.count(": epoch") == 2
    assert pq.read_table(first).equals(before)
    assert pq.read_table(added)["seed"].unique().to_pylist() == [5]


def test_how_forecasts_are_compared_reruns_no_forecast(executed: Clone) -> None:
    mine = preset(executed, "forecast: {comparison: {bootstrap: 123}}")
    assert executed.planned(*SMOKE, mine) == {
        "leaderboard": 1,
        "report": 1,
        "provenance": 1,
        "all": 1,
    }


def test_a_strategy_file_that_is_not_there_is_refused_before_any_work(clone: Clone) -> None:
    mine = preset(clone, "forecast: {strategies: {mine: nowhere.py}}")
    result = clone.snakemake("--profile", "local", "-n", *SMOKE, mine)
    assert result.returncode == 2
    errors = [line for line in result.stdout.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "forecast.strategies.mine" in errors[0]
    assert "'nowhere.py'" in errors[0]
    assert "mesa" in errors[0]


def test_a_mistake_in_a_strategy_is_found_before_any_work(clone: Clone) -> None:
    """By its text, and by calling its functions; the file of the preset and the key are named."""
    path = my_memory(clone)
    mine = preset(clone, "forecast: {strategies: {mine: my_memory.py}}")
    text = path.read_text()
    for old, new, words in (
        (
            "missing.transpose(1, 2)",
            "missing.detach().transpose(1, 2)",
            "compute_surprise: no grad",
        ),
        ('return {"matrix": missing', 'memory.m = 1\n    return {"matrix": missing', "published"),
        ("OPTIONS =", "import no_such_module\nOPTIONS =", "no_such_module"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1))
        result = clone.snakemake("--profile", "local", "-n", *SMOKE, mine)
        assert result.returncode == 2
        (error,) = [line for line in result.stdout.splitlines() if line.startswith("error:")]
        assert error.startswith(f"error: {mine}: forecast.strategies.mine: ")
        assert words in error
    path.write_text(text)


def test_a_mistake_in_a_table_is_found_before_any_work(clone: Clone) -> None:
    (clone.path / "load.csv").write_text("time;load\n2020-01-01;3\n")
    load = "{source: table, path: load.csv, time: time, target: load}"
    mine = preset(clone, f"forecast: {{datasets: {{sinwave: null, load: {load}}}}}")
    result = clone.snakemake("--profile", "local", "-n", *SMOKE, mine)
    assert result.returncode == 2
    (error,) = [line for line in result.stdout.splitlines() if line.startswith("error:")]
    assert error.startswith(f"error: {mine}: forecast.datasets.load: load.csv: column 'time' is")
    assert "`separator`" in error


def test_without_runs_the_forecasts_alone_are_planned(clone: Clone) -> None:
    own = {"make_series": 1, "leaderboard": 1, "report": 1, "provenance": 1, "all": 1}
    assert clone.planned(*SMOKE, preset(clone, "runs: null")) == {**own, "forecast": 3}


def test_switched_off_no_forecast_is_planned(clone: Clone) -> None:
    planned = clone.planned(*SMOKE, preset(clone, "forecast: null"))
    assert not {"make_series", "forecast", "leaderboard"} & set(planned)
    assert planned["report"] == 1


def test_arrays_are_planned_where_their_files_are(clone: Clone) -> None:
    for name in ("train", "test"):
        np.save(clone.path / f"{name}.npy", np.zeros((4, 48, 1)))
    arrays = "{source: arrays, train: train.npy, test: test.npy, length: 48}"
    mine = preset(clone, f"forecast: {{datasets: {{sinwave: null, mine: {arrays}}}}}")
    target = (*SMOKE, mine, "--", "results/smoke/series/mine.parquet")
    assert clone.planned(*target) == {"make_series": 1}
    (clone.path / "train.npy").unlink()
    result = clone.snakemake("--profile", "local", "-n", *target)
    assert result.returncode != 0
    assert "train.npy" in result.stdout
