"""The workflow where something is in the way or was lost: told in one line, never trusted."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from clone import Clone, copy_repository
from edits import appended, gone, record
from invalidation import Finished, labels
from mounts import tmpfs

SMOKE = ("--configfile", "config/smoke.yaml")
RESULTS = Path("results/smoke")
METRICS = RESULTS / "metrics" / "write-drop-read" / "metrics.parquet"
SHARD = RESULTS / "runs" / "write-drop-read" / "0" / "predictions" / "B" / "0-of-1.parquet"


# --- records of the past are lost ------------------------------------------------------------


def test_output_without_its_record_is_made_again(executed: Clone) -> None:
    with gone(record(executed.path, METRICS)):
        remade = ("score", "compare", "report", "provenance", "all")
        assert executed.planned(*SMOKE) == dict.fromkeys(remade, 1)
    assert executed.planned(*SMOKE) == {}


def test_without_any_record_everything_is_made_again(executed: Clone, clone: Clone) -> None:
    with gone(executed.path / ".snakemake" / "metadata"):
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


# --- the clock goes back ---------------------------------------------------------------------


def test_results_from_the_future_are_refused_until_made_comparable(finished: Finished) -> None:
    results, ahead = finished.clone.path / "results" / "made", time.time() + 3600
    for path in results.rglob("*"):
        os.utime(path, (ahead, ahead))
    with pytest.raises(RuntimeError) as refused:
        finished.planned()
    (told,) = [line for line in str(refused.value).splitlines() if line.startswith("error: ")]
    assert re.match(r"error: results/made\S*: found a change 3\d\d\d s in the future", told)
    assert "Traceback" not in str(refused.value)
    remedy = told.partition("compared by content: ")[2]
    subprocess.run(remedy, shell=True, cwd=finished.clone.path, check=True)
    assert finished.planned() == []
    # Edited when the clock was right again, which is earlier than the results were made.
    wording = finished.clone.path / "workflow" / "scripts" / "ttt_memory" / "report" / "wording.py"
    with appended(wording):
        assert labels(finished.planned()) == {"report", "provenance", "all"}


def test_input_from_the_future_fails_its_job_and_leaves_nothing(tmp_path: Path) -> None:
    clone = copy_repository(tmp_path / "ahead")
    script = clone.path / "workflow" / "scripts" / "make_series.py"
    series = clone.path / RESULTS / "series" / "sinwave.parquet"
    asked = ("--profile", "local", *SMOKE, "--", str(series.relative_to(clone.path)))
    ahead = time.time() + 3600
    os.utime(script, (ahead, ahead))
    result = clone.snakemake(*asked)
    assert result.returncode != 0
    assert "This could indicate a clock skew problem" in result.stdout
    assert not series.exists()
    os.utime(script)
    assert clone.snakemake(*asked).returncode == 0
    assert series.is_file()


# --- files are damaged -----------------------------------------------------------------------


def test_shard_cut_short_stops_the_scores_and_is_made_again(executed: Clone) -> None:
    shard = executed.path / SHARD
    scores = untimed(executed.path / METRICS)
    asked = ("--profile", "local", *SMOKE, "--", str(METRICS))
    shard.write_bytes(shard.read_bytes()[:-100])
    result = executed.snakemake(*asked)
    assert result.returncode != 0
    told = f"error: {SHARD}: not a readable Parquet file"
    assert told in result.stdout
    shard.unlink()
    assert executed.snakemake(*asked).returncode == 0
    pd.testing.assert_frame_equal(untimed(executed.path / METRICS), scores)


def untimed(metrics: Path) -> pd.DataFrame:
    """Metrics but for the seconds, which are measured anew."""
    table = pd.read_parquet(metrics)
    return table[~table["metric"].str.endswith("_seconds")].reset_index(drop=True)


# --- the folder is not ours ------------------------------------------------------------------


@pytest.fixture
def read_only(clone: Clone) -> Iterator[str]:
    """A results folder on a file system that may not be written to."""
    with tmpfs(clone.path / "results" / "frozen", "ro,size=64k"):
        yield "results/frozen"


def test_read_only_results_end_in_one_line(clone: Clone, read_only: str) -> None:
    mine = clone.path / "config" / "frozen.yaml"
    mine.write_text(f"results: {read_only}/study\n")
    asked = ("--profile", "local", *SMOKE, "config/frozen.yaml")
    result = clone.snakemake(*asked)
    assert (result.returncode, errors(result.stdout)) == (
        2,
        [f"error: {read_only}/study: found a folder that may not be written to"],
    )
    # A dry run writes nothing.
    assert clone.snakemake(*asked, "--dry-run").returncode == 0


def test_full_disk_under_the_logs_is_told_by_snakemake_itself(clone: Clone) -> None:
    logs = clone.path / "results" / "full" / "logs"
    logs.parent.mkdir()
    with tmpfs(logs, "size=32k"):
        (logs / "filler").write_bytes(bytes(2**15))
        mine = clone.path / "config" / "full-disk.yaml"
        mine.write_text("results: results/full\n")
        asked = ("--profile", "local", *SMOKE, "config/full-disk.yaml")
        result = clone.snakemake(*asked, "--", "results/full/series/sinwave.parquet")
    assert (result.returncode, errors(result.stdout)) == (
        2,
        ["error: results/full/logs: no space left on the device"],
    )
    assert not list((clone.path / ".snakemake").glob("locks/*"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([*SMOKE, "--dry-run", *SMOKE], "--configfile: found it 2 times, expected once"),
        (
            ["--config", "runs={b-mina: null}", "--dry-run"],
            "--config: runs.b-mina: null drops an entry, but no entry has this name",
        ),
        ([*SMOKE, "--report"], f"{RESULTS}/report/index.html: found no such file, expected the"),
        (["--configfile", "nowhere.yaml"], "nowhere.yaml: found no such file, expected a preset"),
        (["--configfile", "README.md"], "README.md: not readable as JSON or YAML"),
        (["-n", "--config", "results=README.md/mine"], "README.md/mine: found the file "),
    ],
    ids=["two options", "null", "report", "no preset", "no YAML", "file for a folder"],
)
def test_command_line_that_means_something_else_is_refused(
    clone: Clone, arguments: list[str], told: str
) -> None:
    result = clone.snakemake("--profile", "local", *arguments)
    assert result.returncode == 2
    assert [line.startswith(f"error: {told}") for line in errors(result.stdout)] == [True]


def test_preset_is_checked_from_another_folder(clone: Clone, tmp_path: Path) -> None:
    """And by the catalogue's Snakefile; no profile is named."""
    (tmp_path / "mine.yaml").write_text("# runs:\n")
    asked = ("--cores", "1", "--configfile")
    for folder, snakefile, preset, told in (
        (tmp_path, clone.path / "Snakefile", "mine.yaml", "found no keys, expected a mapping"),
        (clone.path, "workflow/Snakefile", "nowhere.yaml", "found no such file, expected a preset"),
    ):
        result = Clone(folder).snakemake("-s", str(snakefile), *asked, preset)
        assert result.returncode == 2
        assert [line.startswith(f"error: {preset}: {told}") for line in errors(result.stdout)] == [
            True
        ]


def errors(output: str) -> list[str]:
    """The lines that tell a mistake; there may be no traceback beside them."""
    assert "Traceback" not in output
    return [line for line in output.splitlines() if line.startswith("error: ")]


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
    locks = clone.path / ".snakemake" / "locks"
    # Snakemake makes the file of a lock empty and fills it later: an empty one locks nothing.
    while not any(target in lock.read_text() for lock in locks.glob("*.output.lock")):
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
