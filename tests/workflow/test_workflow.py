"""The workflow run by Snakemake itself: what it plans, what it refuses, what it reruns."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from clone import ROOT, Clone, jobs_of
from presets import preset_config
from ttt_memory.forecast.strategy import STRATEGIES

SMOKE = ("--configfile", "config/smoke.yaml")
STUDY = {
    "make_benchmark",
    "make_corpus",
    "train",
    "sanity",
    "recall",
    "diagnose",
    "score",
    "compare",
    "make_series",
    "forecast",
    "leaderboard",
    "report",
    "provenance",
    "all",
}


def preset(clone: Clone, text: str) -> str:
    """Path of a preset with this text."""
    (clone.path / "config" / "mine.yaml").write_text(text)
    return "config/mine.yaml"


# --- what it plans ---------------------------------------------------------------------------


def test_default_is_planned_as_typed(clone: Clone) -> None:
    planned = clone.planned()
    assert set(planned) == STUDY
    # The untouched base has no memory to diagnose.
    assert planned["train"] == planned["sanity"] == planned["diagnose"] + 1


def test_smoke_is_planned_with_every_seed_condition_sweep_and_shard(clone: Clone) -> None:
    mine = preset(clone, "runs: {write-drop-read: {seeds: [0, 3]}}\nrecall: {shards: 2}")
    asked = preset_config("smoke").recall
    conditions, sweeps = len(asked.conditions), len(asked.sweeps) + len(asked.alternatives)
    # In two shards: the untouched base under A and C, b-mini with one seed and no sweeps,
    # write-drop-read with two seeds and all.
    shards = 2 * (len("AC") + conditions + 2 * (conditions + sweeps))
    assert clone.planned(*SMOKE, mine) == {
        **dict.fromkeys(STUDY | {"train_base"}, 1),
        **{"train": 4, "sanity": 4, "diagnose": 3, "recall": shards, "score": 3},
        # Two strategies and a baseline on one dataset, each with all its seeds.
        "forecast": 3,
    }


def test_full_is_planned_with_the_attribution_runs_and_every_strategy(clone: Clone) -> None:
    loaded = preset_config("full")
    planned = clone.planned("--configfile", "config/full.yaml")
    assert planned["score"] == len(loaded.runs)
    assert planned["train"] == sum(len(run.seeds) for run in loaded.runs.values())
    assert sum(bool(run.differs) for run in loaded.runs.values()) >= 6
    study = loaded.forecast
    files = {entry.file for entry in study.strategies.values()}
    assert {path.stem for path in STRATEGIES.glob("*.py")} == files
    floors = {name for name, entry in study.baselines.items() if entry.file == "floor"}
    assert len(floors) == 2  # of the two sets of sine waves, whose law is known
    forecasters = len(study.strategies) + len(study.baselines) - len(floors)
    assert planned["forecast"] == len(study.datasets) * forecasters + 2 * len(floors)


def test_qwen_is_planned_for_slurm_on_a100s_with_its_revision_pinned(clone: Clone) -> None:
    result = clone.snakemake("--profile", "slurm", "-n", "--configfile", "config/qwen3-8b.yaml")
    assert result.returncode == 0, result.stdout
    assert set(jobs_of(result.stdout)) == STUDY | {"fetch_model"}
    assert re.search(r"data/hub/Qwen--Qwen3-8B/[0-9a-f]{40}/config\.json", result.stdout)
    means = preset_config("qwen3-8b").resources
    for rule in (means.train, means.sanity, means.recall, means.diagnose):
        assert (rule.gpu, rule.gpu_model) == (1, "a100")
    assert means.score.gpu == means.report.gpu == 0


def test_slurm_is_planned_as_typed(clone: Clone) -> None:
    result = clone.snakemake("--profile", "slurm", "-n")
    assert result.returncode == 0, result.stdout
    assert set(jobs_of(result.stdout)) == STUDY


def test_catalogue_snakefile_plans_the_same(clone: Clone) -> None:
    result = clone.snakemake("-s", "workflow/Snakefile", "-n", *SMOKE)
    assert result.returncode == 0, result.stdout
    expected = clone.planned(*SMOKE)
    expected["default"] = expected.pop("all")
    assert jobs_of(result.stdout) == expected


def test_imported_predictions_are_planned_to_be_scored_and_reported(clone: Clone) -> None:
    (clone.path / "published.json").write_text("{}")
    files = "{benchmark: published.json, predictions: {A: published.json}}"
    mine = preset(clone, f"imports: {{published: {files}}}")
    planned = clone.planned(*SMOKE, mine)
    assert set(planned) == STUDY | {"train_base", "import_benchmark", "score_imported"}


# --- what it refuses -------------------------------------------------------------------------

REFUSED = [
    ("recal: {rows: 1}", "recal: unknown key"),
    (
        "runs: {write-drop-read: {fast_weights: {chunk: 0}}}",
        "runs.write-drop-read.fast_weights.chunk: found 0",
    ),
    (
        "runs: {write-drop-read: {fast_weights: {lr: -1}}}",
        "runs.write-drop-read.fast_weights.lr: found -1",
    ),
    ("recall: {shards: 9}", "recall.shards: found 9, expected at most the 8 samples"),
    ("recall: {conditions: [A, Q]}", 'recall.conditions.1: found "Q"'),
    (
        "runs: {write-drop-read: {trained: nowhere}}",
        "runs: run 'write-drop-read', key trained: found 'nowhere', expected the folder",
    ),
    (
        "runs: {write-drop-read: {train: {start: config}}}",
        "runs.write-drop-read.train.start: found no config/0/fast_weights/fast_weights.json",
    ),
    ("base: {source: local, path: nowhere}", "base.path: found 'nowhere'"),
    (
        "base: {source: local, path: deep}\n"
        "runs: {write-drop-read: {fast_weights: {layers: [36]}}}",
        "runs.write-drop-read.fast_weights.layers: found layer 36, expected 0 to 35",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_mistake_ends_in_one_line_before_any_work(clone: Clone, text: str, message: str) -> None:
    deep = clone.path / "deep"
    deep.mkdir(exist_ok=True)
    (deep / "config.json").write_text('{"num_hidden_layers": 36}')
    result = clone.snakemake("--profile", "local", *SMOKE, preset(clone, text))
    assert result.returncode != 0
    assert "Traceback" not in result.stdout
    told = [line for line in result.stdout.splitlines() if line.startswith("error: ")]
    assert len(told) == 1
    assert told[0].split("mine.yaml: ")[1].startswith(message)
    assert not (clone.path / "results" / "smoke").exists()


# --- what it reruns, after the smoke preset has run for real ---------------------------------


def test_pretraining_goes_on_from_a_model(executed: Clone) -> None:
    start, target = "results/smoke/base/model", "results/more/base/model"
    text = f"results: results/more\nbase: {{pretrain: {{start: {start}, steps: 1}}}}"
    asked = ("--configfile", "config/smoke.yaml", preset(executed, text), "--")
    result = executed.snakemake("--profile", "local", *asked, f"{target}/config.json")
    assert result.returncode == 0, result.stdout
    before, after = (load_file(executed.path / f / "model.safetensors") for f in (start, target))
    moved = {name: (after[name] - before[name]).abs().max().item() for name in before}
    # One step at a low rate: other weights, but not far from where they started.
    assert 0 < max(moved.values()) < 0.1
    spelled = [(executed.path / f / "tokenizer.json").read_bytes() for f in (start, target)]
    assert spelled[0] == spelled[1]


def edited(clone: Clone, name: str) -> set[str]:
    """Rules planned while the file `name` of the library ends in one more comment."""
    path = clone.path / "workflow" / "scripts" / "ttt_memory" / name
    before = path.read_bytes()
    path.write_bytes(before + b"# One more comment.\n")
    try:
        return set(clone.planned(*SMOKE))
    finally:
        path.write_bytes(before)


def test_executed_run_leaves_a_report_and_nothing_to_do(executed: Clone) -> None:
    report = executed.path / "results" / "smoke" / "report"
    assert (report / "index.html").stat().st_size > 10_000
    provenance = json.loads((executed.path / "results/smoke/provenance.json").read_text())
    assert provenance["seeds"]["runs.write-drop-read"] == [0]
    assert provenance["config"]["results"] == "results/smoke"
    assert provenance["rules"]["recall"]["jobs"] > provenance["rules"]["train"]["jobs"] == 3
    assert "write-drop-read" in (report / "RESULTS.md").read_text(encoding="utf-8")
    assert executed.planned(*SMOKE) == {}


def test_executed_run_ends_in_three_lines(executed: Clone) -> None:
    result = subprocess.run(
        [sys.executable, "workflow/scripts/tell_end.py", "--status", "0", *SMOKE],
        cwd=executed.path,
        capture_output=True,
        text=True,
        check=True,
    )
    verdict, report, chat = result.stdout.splitlines()
    text = (executed.path / "results/smoke/report/RESULTS.md").read_text(encoding="utf-8")
    said = re.match(r"Verdict: (Yes|In part|No|It cannot be said)\. (.+)", verdict)
    assert said[2] in text  # what the report opens with
    assert report == "Report: results/smoke/report/index.html"
    model = re.match(r"Chat: make chat MODEL=(\S+), ", chat)[1]
    assert model == "results/smoke/runs/write-drop-read/0/model"
    assert (executed.path / model).is_dir()


def test_touching_every_file_reruns_nothing(executed: Clone) -> None:
    for name in ("Snakefile", "config.yaml", "config", "rules", "workflow"):
        path = executed.path / name
        for file in [path] if path.is_file() else path.rglob("*"):
            os.utime(file)
    assert executed.planned(*SMOKE) == {}


def test_editing_the_report_reruns_the_report_only(executed: Clone) -> None:
    assert edited(executed, "report/wording.py") == {"report", "provenance", "all"}
    assert executed.planned(*SMOKE) == {}


def test_key_of_one_run_leaves_the_other_alone(executed: Clone) -> None:
    mine = preset(executed, "runs: {b-mini: {train: {steps: 7}}}")
    planned = executed.planned(*SMOKE, mine)
    assert planned["train"] == planned["sanity"] == planned["score"] == 1
    assert not {"make_corpus", "make_benchmark", "train_base"} & set(planned)


def test_another_sweep_point_leaves_the_conditions_alone(executed: Clone) -> None:
    mine = preset(executed, "recall: {scales: [0.5, 0.7, 1.0]}")
    assert executed.planned(*SMOKE, mine)["recall"] == 1


def test_shards_together_say_what_the_whole_says(executed: Clone) -> None:
    mine = preset(executed, "recall: {shards: 2}")
    folder = Path("results/smoke/runs/write-drop-read/0/predictions/B")
    shards = [str(folder / f"{index}-of-2.parquet") for index in range(2)]
    result = executed.snakemake("--profile", "local", *SMOKE, mine, "--", *shards)
    assert result.returncode == 0, result.stdout
    key = ["sample_id", "probe_id"]
    parts = [pd.read_parquet(executed.path / shard) for shard in shards]
    assert all(len(part) for part in parts)
    whole = pd.read_parquet(executed.path / folder / "0-of-1.parquet")
    columns = [*key, "prediction", "prompt_hash", "written_tokens", "new_tokens"]
    assert pd.concat(parts).sort_values(key)[columns].to_numpy().tolist() == (
        whole.sort_values(key)[columns].to_numpy().tolist()
    )


def test_a_trained_memory_is_taken_as_it_is_and_says_the_same(executed: Clone) -> None:
    folder = "results/smoke/runs/write-drop-read/0/model"
    text = f"runs: {{again: {{trained: {folder}, label: again}}, b-mini: null}}"
    mine = preset(executed, text)
    planned = executed.planned(*SMOKE, mine)
    assert planned["take_trained"] == planned["sanity"] == 1
    assert not {"train", "make_corpus"} & set(planned)
    predictions = "results/smoke/runs/{}/0/predictions/B/0-of-1.parquet"
    taken = predictions.format("again")
    result = executed.snakemake("--profile", "local", *SMOKE, mine, "--", taken)
    assert result.returncode == 0, result.stdout
    said = [
        pd.read_parquet(executed.path / predictions.format(run))["prediction"].tolist()
        for run in ("again", "write-drop-read")
    ]
    assert said[0] == said[1]


def test_a_trained_memory_is_trained_further(executed: Clone) -> None:
    folder = "results/smoke/runs/write-drop-read/0/model"
    text = f"runs: {{further: {{like: write-drop-read, train: {{start: {folder}, steps: 1}}}}}}"
    mine, target = preset(executed, text), "results/smoke/runs/further/0/model"
    assert executed.planned(*SMOKE, mine, "--", target) == {"train": 1}
    result = executed.snakemake("--profile", "local", *SMOKE, mine, "--", target)
    assert result.returncode == 0, result.stdout
    assert executed.planned(*SMOKE, mine, "--", target) == {}
    command = ("-n", "-p", "--forcerun", "train", *SMOKE, mine, "--", target)
    before = executed.snakemake(*command).stdout
    (executed.path / folder / "note.txt").write_text("one more file")
    assert executed.planned(*SMOKE, mine, "--", target) == {"train": 1}
    # It does not go on from a checkpoint of the training that began from the other memory.
    folders = [
        re.findall(r"--checkpoints (\S+/further/\S+)", text)
        for text in (before, executed.snakemake(*command).stdout)
    ]
    assert [len(found) for found in folders] == [1, 1]
    assert folders[0] != folders[1]


def test_sanity_gates_recall(executed: Clone) -> None:
    target = "results/smoke/runs/write-drop-read/0/predictions/B/0-of-1.parquet"
    gate = executed.path / "results" / "smoke" / "runs" / "write-drop-read" / "0" / "sanity.json"
    aside = gate.rename(gate.with_suffix(".aside"))
    try:
        assert "sanity" in executed.planned(*SMOKE, "--forcerun", "recall", "--", target)
    finally:
        aside.rename(gate)


def test_snakemake_report_holds_the_results(executed: Clone) -> None:
    result = executed.snakemake("--profile", "local", *SMOKE, "--report", "report.html")
    assert result.returncode == 0, result.stdout
    text = (executed.path / "report.html").read_text(encoding="utf-8")
    assert "index.html" in text
    # It begins with the first screen of our own report: question, answer, figure, dialogue.
    landing = executed.path / "results" / "smoke" / "report" / "landing.html"
    lines = landing.read_text(encoding="utf-8").splitlines()
    assert any("Can test-time-training fast weights" in line for line in lines)
    assert [line for line in lines if json.dumps(line)[1:-1] not in text] == []


# --- how it is written -----------------------------------------------------------------------


def test_snakemake_lint_is_clean(clone: Clone) -> None:
    result = clone.snakemake("--lint")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "command",
    [
        ("snakefmt", "--check", "Snakefile", "workflow/Snakefile", "rules"),
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_style_is_clean(command: tuple[str, ...]) -> None:
    program = Path(sys.executable).parent / command[0]
    result = subprocess.run(
        [program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
