"""The workflow where something is in the way or was lost: told in one line, never trusted."""

import shutil
import signal
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clone import Clone, copy_repository
from mounts import tmpfs

SMOKE = ("--configfile", "config/smoke.yaml")
RESULTS = Path("results/smoke")
METRICS = RESULTS / "metrics" / "recall" / "metrics.parquet"
SHARD = RESULTS / "runs" / "recall" / "0" / "predictions" / "B" / "0-of-1.parquet"


def record(clone: Clone, output: Path) -> Path:
    """The file in which Snakemake keeps what it knows of an output."""
    name = urlsafe_b64encode(str(output).encode()).decode()
    return clone.path / ".snakemake" / "metadata" / name


@contextmanager
def aside(path: Path) -> Iterator[None]:
    """The path is gone within the block."""
    kept = path.rename(path.with_name(f"{path.name}.aside"))
    try:
        yield
    finally:
        shutil.rmtree(path, ignore_errors=True)
        kept.rename(path)


# --- records of the past are lost ------------------------------------------------------------


def test_output_without_its_record_is_made_again(executed: Clone) -> None:
    with aside(record(executed, METRICS)):
        assert executed.planned(*SMOKE) == {"score": 1, "report": 1, "provenance": 1, "all": 1}
    assert executed.planned(*SMOKE) == {}


def test_without_any_record_everything_is_made_again(executed: Clone, clone: Clone) -> None:
    with aside(executed.path / ".snakemake" / "metadata"):
        assert executed.planned(*SMOKE) == clone.planned(*SMOKE)
    assert executed.planned(*SMOKE) == {}


def test_witness_stays_as_it_is_while_another_snakemake_runs(executed: Clone) -> None:
    witness = executed.path / ".snakemake" / "witness"
    before = witness.stat().st_mtime_ns
    lock = executed.path / ".snakemake" / "locks" / "0.output.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.write_text("results/other\n")
    try:
        executed.planned(*SMOKE)
        assert witness.stat().st_mtime_ns == before
    finally:
        lock.unlink()
    executed.planned(*SMOKE)
    assert witness.stat().st_mtime_ns > before


# --- files are damaged -----------------------------------------------------------------------


def test_shard_cut_short_stops_the_scores_and_is_made_again(executed: Clone) -> None:
    shard = executed.path / SHARD
    scores = (executed.path / METRICS).read_bytes()
    asked = ("--profile", "local", *SMOKE, "--", str(METRICS))
    shard.write_bytes(shard.read_bytes()[:-100])
    result = executed.snakemake(*asked)
    assert result.returncode != 0
    told = f"error: {SHARD}: not a readable Parquet file"
    assert told in result.stdout
    shard.unlink()
    assert executed.snakemake(*asked).returncode == 0
    assert (executed.path / METRICS).read_bytes() == scores


# --- the folder is not ours ------------------------------------------------------------------


@pytest.fixture
def read_only(clone: Clone) -> Iterator[str]:
    """A results folder on a file system that may not be written to."""
    with tmpfs(clone.path / "results" / "frozen", "ro,size=64k"):
        yield "results/frozen"


def test_read_only_results_end_in_one_line(clone: Clone, read_only: str) -> None:
    mine = clone.path / "config" / "frozen.yaml"
    mine.write_text(f"results: {read_only}/study\n")
    result = clone.snakemake("--profile", "local", *SMOKE, "config/frozen.yaml")
    assert result.returncode != 0
    told = [line for line in result.stdout.splitlines() if line.startswith("error: ")]
    assert told == [f"error: {read_only}/study: found a folder that may not be written to"]
    assert "Traceback" not in result.stdout


def test_second_run_in_one_folder_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    clone = copy_repository(tmp_path / "twice")
    target = str(RESULTS / "corpus" / "dialogues.parquet")
    asked = ["--profile", "local", *SMOKE, "--", target]
    first = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *asked],
        cwd=clone.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not list((clone.path / ".snakemake").glob("locks/*")):
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.01)
    # Held in its midst, so that it cannot end first.
    first.send_signal(signal.SIGSTOP)
    second = clone.snakemake(*asked)
    first.send_signal(signal.SIGCONT)
    assert second.returncode != 0
    assert second.stdout.count("Directory cannot be locked") == 1
    assert "Traceback" not in second.stdout
    assert first.wait() == 0, first.communicate()[0]
    assert (clone.path / target).is_file()
