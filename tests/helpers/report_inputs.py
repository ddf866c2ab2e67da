"""What a report is made of: files of scoring, training and forecasts, and the script on them.

Predictions have a known accuracy; all scores and tables of them are those of the library.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

import forecast_waves as waves
import scored_runs
from clone import ROOT
from ttt_memory import io
from ttt_memory.benchmark import schemas as benchmark_schemas
from ttt_memory.conversation import schemas as conversation_schemas
from ttt_memory.forecast import schemas as forecast_schemas
from ttt_memory.forecast.comparison.leaderboard import leaderboard
from ttt_memory.forecast.config import ComparisonConfig
from ttt_memory.report.config import ReportConfig, RunText
from ttt_memory.report.results import Results, load
from ttt_memory.scoring import schemas as scoring_schemas
from ttt_memory.scoring.comparisons import comparisons
from ttt_memory.scoring.config import ScoringConfig
from ttt_memory.scoring.metrics import metrics_table
from ttt_memory.scoring.predictions import read_predictions
from ttt_memory.scoring.probe_scores import score

SCRIPT = ROOT / "workflow" / "scripts" / "report.py"
SCORING = ScoringConfig(bootstrap=100, permutations=99)
SAMPLES = scored_runs.samples(10)
RUNS = {
    "b-mini": {"label": "B-mini | frozen", "seeds": [0]},
    "write-drop-read": {
        "label": "write-drop-read <joint>",
        "fast_weights": {"gate": "top"},
        "train": {"steps": 5, "episode": {"several": [2, 4]}},
    },
    "no-gate": {
        "label": "no gate",
        "differs": "write gate off",
        "fast_weights": {"gate": "none"},
        "train": {"steps": 5, "episode": {"several": [1, 4]}},
    },
    "base": {"label": "base as it is", "train": {"steps": 0}},
}


def write_metrics(
    path: Path, name: str, memory: float, seeds: tuple[int, ...], sweeps: bool
) -> None:
    rows = scored_runs.run_rows(SAMPLES, name, seeds, memory, sweeps)
    if name == "base":
        rows = [row for row in rows if row["condition"] in ("A", "C")]
    given = scored_runs.write(path / "predictions" / f"{name}.parquet", rows)
    scored = score(SAMPLES, read_predictions([str(given)]))
    table = metrics_table(scored, SCORING)
    note = {"versions": {"numpy": "2"}, "config_hash": "f00d", "seed": 0}
    io.write_table(path / "metrics" / f"{name}.parquet", table, scoring_schemas.METRICS, note)
    io.write_table(path / "scored" / f"{name}.parquet", scored, scoring_schemas.SCORED, {})


def write_curve(path: Path, name: str) -> None:
    rows = [
        {
            "run": name,
            "seed": 0,
            "step": step,
            "tokens": 100 * step,
            "seconds": 0.5 * step,
            "objective": ("write_drop_read", "context")[step % 2],
            "loss": 3 / (1 + step),
            "context_loss": (2 / (1 + step), None)[step % 2],
            "inner_norm": (0.1, None)[step % 2],
            "learning_rate": 0.1,
        }
        for step in range(90)
    ]
    io.write_table(path / "curves" / f"{name}.parquet", rows, conversation_schemas.CURVE, {})


def write_diagnostics(path: Path, name: str, gated: bool) -> None:
    rows = []
    for seed in (0, 1):
        for place, segment in enumerate(("fact", "filler", "distractor")):
            kinds = [("next_token_loss", -1), *((("gate", 0), ("gate", 1)) if gated else ())]
            for statistic, layer in kinds:
                value = (place + 1.5) if layer < 0 else 0.9 - 0.3 * place
                rows.append((name, seed, statistic, layer, segment, value))
        rows += [(name, seed, "relative_norm", layer, "dialogue", 0.2) for layer in (0, 1)]
    frame = pd.DataFrame(rows, columns=["run", "seed", "statistic", "layer", "segment", "value"])
    frame = frame.assign(low=frame["value"] - 0.05, high=frame["value"] + 0.05, n=8)
    io.write_table(
        path / "diagnostics" / f"{name}.parquet", frame, conversation_schemas.DIAGNOSTICS, {}
    )


def write_comparisons(path: Path) -> None:
    files = [path / "scored" / f"{name}.parquet" for name in RUNS]
    scored = pd.concat([io.read_table(file, scoring_schemas.SCORED) for file in files])
    table = comparisons(scored, "write-drop-read", SCORING)
    io.write_table(path / "comparisons" / "all.parquet", table, scoring_schemas.COMPARISONS, {})


def write_gates(path: Path) -> None:
    """Of every dialogue the first value is written, and nothing else."""
    rows = [
        {"run": "write-drop-read", "seed": 0, "sample_id": one.sample_id, "session": 0}
        | {"start": one.facts[0].start, "end": one.facts[0].end, "gate": 1.0}
        for one in SAMPLES
    ]
    io.write_table(path / "gates" / "all.parquet", rows, conversation_schemas.GATES, {})


FORECAST = {name: ["waves"] for name in ("leaderboard", "forecasts", "forecast-curves", "traces")}


def write_forecasts(path: Path) -> None:
    """Four strategies, one without memory, on one dataset with two horizons and three seeds."""
    given = waves.SCALES | {"delta": (0.30, 0.45, 0.40)}
    jobs = [
        (name, seed, scale) for name, scales in given.items() for seed, scale in enumerate(scales)
    ]
    made = pd.DataFrame(
        row
        for name, seed, scale in jobs
        for horizon in (1, 24)
        for row in waves.forecasts(name, seed, scale * (1 + horizon), horizon=horizon)
    )
    costs = pd.DataFrame([row for name, seed, _ in jobs for row in waves.epochs(name, seed)])
    place = {"dataset": "waves", "strategy": "mesa", "seed": 0, "series": 0, "layer": 0}
    traces = [
        {**place, "position": 16 * chunk + 15, "quantity": quantity, "value": 1 / (chunk + 1)}
        for quantity in ("recall_error", "gate")
        for chunk in range(3)
    ]
    for part, rows, schema in (
        ("leaderboard", leaderboard(made, costs, ComparisonConfig()), forecast_schemas.LEADERBOARD),
        ("forecasts", made, forecast_schemas.FORECASTS),
        ("forecast-curves", costs, forecast_schemas.EPOCHS),
        ("traces", traces, forecast_schemas.TRACES),
    ):
        io.write_table(path / part / "waves.parquet", rows, schema, {"config_hash": part})


def write_all(path: Path) -> Path:
    """All files of a study in `path`: five runs, one of them imported, and forecasts."""
    io.write_table(
        path / "benchmark.parquet", [one.row() for one in SAMPLES], benchmark_schemas.BENCHMARK, {}
    )
    write_metrics(path, "b-mini", 0.0, (0,), sweeps=False)
    write_metrics(path, "write-drop-read", 0.95, (0, 1), sweeps=True)
    write_metrics(path, "no-gate", 0.5, (0,), sweeps=False)
    write_metrics(path, "imported", 0.4, (0,), sweeps=False)
    write_metrics(path, "base", 0.0, (0,), sweeps=False)
    write_comparisons(path)
    write_gates(path)
    for name in RUNS:
        write_curve(path, name)
        write_diagnostics(path, name, gated=name == "write-drop-read")
    write_forecasts(path)
    return path


def run_script(inputs: Path, out: Path, **parts: list[str]) -> subprocess.CompletedProcess:
    """The script on some files of each kind, by their names without the ending."""
    texts = {name: RUNS[name] for name in parts.pop("runs", list(RUNS))}
    config = {"report": {"dpi": 60}, "scoring": {}, "runs": texts}
    command = [sys.executable, SCRIPT, "--config", json.dumps(config), "--out", out]
    command += ["--benchmark", inputs / "benchmark.parquet"]
    for part, names in parts.items():
        command += [f"--{part}", *(inputs / part / f"{name}.parquet" for name in names)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def results(inputs: Path, names: list[str]) -> Results:
    """The metrics of some runs, and nothing else."""
    return load(
        inputs / "benchmark.parquet",
        [inputs / "metrics" / f"{name}.parquet" for name in names],
        [],
        [],
        [],
        [],
        [inputs / "comparisons" / "all.parquet"],
        {name: RunText(**RUNS[name]) for name in RUNS},
        ReportConfig(),
        SCORING,
    )


def section(folder: Path, title: str) -> str:
    """A section of RESULTS.md."""
    text = (folder / "RESULTS.md").read_text(encoding="utf-8")
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.S | re.M).group(1)
