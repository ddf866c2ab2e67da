"""Edits other than of code: real ones, each taken back when its block ends."""

import os
import shutil
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from expectations import EVERY

RESULTS = Path("results", "made")
PAGE = RESULTS / "report" / "index.html"
METRICS = RESULTS / "metrics" / "write-drop-read" / "metrics.parquet"


@dataclass(frozen=True)
class Edit:
    """What is done to a finished study, and the rules whose own input or parameter it is."""

    name: str
    rules: str
    # Takes the study's folder; yields presets to lay over its configuration.
    made: Callable[[Path], AbstractContextManager[tuple[str, ...]]]


@contextmanager
def appended(file: Path, text: str = "# Edited.\n") -> Iterator[tuple[str, ...]]:
    """The file ends in one more line."""
    before = file.read_bytes()
    file.write_bytes(before + text.encode())
    try:
        yield ()
    finally:
        file.write_bytes(before)


@contextmanager
def replaced(file: Path, old: str, new: str) -> Iterator[tuple[str, ...]]:
    """Every `old` in the file is `new`."""
    before = file.read_text()
    assert old in before, f"{file}: no {old!r}"
    file.write_text(before.replace(old, new))
    try:
        yield ()
    finally:
        file.write_text(before)


@contextmanager
def gone(path: Path) -> Iterator[tuple[str, ...]]:
    """The file or folder is not there."""
    kept = path.rename(path.with_name(f"{path.name}.aside"))
    try:
        yield ()
    finally:
        shutil.rmtree(path, ignore_errors=True)
        kept.rename(path)


@contextmanager
def configured(text: str, folder: Path) -> Iterator[tuple[str, ...]]:
    """One more preset."""
    (folder / "config" / "edit.yaml").write_text(text)
    yield ("config/edit.yaml",)


@contextmanager
def touched(folder: Path) -> Iterator[tuple[str, ...]]:
    """Every file of the repository is newer than every result."""
    for name in ("Snakefile", "config.yaml", "config", "rules", "workflow", "theirs.json"):
        path = folder / name
        for file in [path] if path.is_file() else path.rglob("*"):
            os.utime(file)
    yield ()


@contextmanager
def checked_out(folder: Path) -> Iterator[tuple[str, ...]]:
    """Another state of every file of the code was checked out with git, then this one again."""

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)

    git("init", "--initial-branch", "main")
    try:
        git("add", ".")
        git("commit", "-m", "this")
        git("checkout", "-b", "other")
        for file in (folder / "workflow" / "scripts").rglob("*.py"):
            file.write_text("# Another state.\n")
        git("commit", "-am", "other")
        git("checkout", "main")
        yield ()
    finally:
        shutil.rmtree(folder / ".git")


def record(folder: Path, output: Path) -> Path:
    """The file in which Snakemake keeps what it knows of an output."""
    name = urlsafe_b64encode(str(output).encode()).decode()
    return folder / ".snakemake" / "metadata" / name


def key(name: str, rules: str, text: str) -> Edit:
    """A key of the configuration."""
    return Edit(f"key `{name}`", rules, partial(configured, text))


EDITS = [
    Edit("touch of every file", "", touched),
    Edit("`git checkout` of another state and back", "", checked_out),
    Edit("comment in config.yaml", "", lambda folder: appended(folder / "config.yaml")),
    Edit("comment in rules/score.smk", "", lambda f: appended(f / "rules" / "score.smk")),
    Edit(
        "command of rule `train`",
        "train",
        lambda f: replaced(f / "rules" / "train.smk", " --curve {output", "  --curve {output"),
    ),
    Edit("package in envs/cpu.yaml", "", lambda f: appended(f / "envs" / "cpu.yaml")),
    Edit("own strategy mine.py", "forecast:mine", lambda f: appended(f / "mine.py")),
    Edit(
        "imported theirs.json",
        "import_benchmark score_imported",
        lambda f: appended(f / "theirs.json", "\n"),
    ),
    Edit("result deleted: the report", "report", lambda f: gone(f / PAGE)),
    # It is made again once something is to be made of it.
    Edit("result deleted: metrics of a run", "", lambda f: gone(f / METRICS)),
    Edit("record lost: metrics of a run", "score", lambda f: gone(record(f, METRICS))),
    Edit("records lost: all", EVERY, lambda f: gone(f / ".snakemake" / "metadata")),
    key("resources.recall.threads", "provenance", "resources: {recall: {threads: 2}}"),
    key("recall.distances (no sweep reads it)", "provenance", "recall: {distances: [0, 9]}"),
    key("runs.write-drop-read.label", "report", "runs: {write-drop-read: {label: another}}"),
    key("scoring.viable", "score compare score_imported report", "scoring: {viable: 0.8}"),
    key("recall.max_new_tokens", "recall", "recall: {max_new_tokens: 7}"),
    key("recall.sweep_samples (no sweep reads it)", "diagnose", "recall: {sweep_samples: 3}"),
    key(
        "runs.write-drop-read.train.steps", "train", "runs: {write-drop-read: {train: {steps: 7}}}"
    ),
    key("benchmark.seed", "make_benchmark", "benchmark: {seed: 1}"),
    key("corpus.dialogues", "make_corpus", "corpus: {dialogues: 201}"),
    key("forecast.training.batch", "forecast", "forecast: {training: {batch: 3}}"),
    key("forecast.comparison.seed", "leaderboard", "forecast: {comparison: {seed: 1}}"),
]
