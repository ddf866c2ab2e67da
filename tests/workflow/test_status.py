"""The status view of a run, by Snakemake itself on jobs that draw bars, fail and wait."""

import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tqdm import tqdm

from clone import ROOT
from pseudo_terminal import Terminal, plain
from snakemake_logger_plugin_status.jobs import Job, Jobs, Progress, progress_in
from snakemake_logger_plugin_status.view import duration, line

TRAINING = """
import sys, time
from tqdm import tqdm
for step in tqdm(range(40), desc=sys.argv[1], mininterval=0.1):
    time.sleep(0.15)
"""
SNAKEFILE = """
rule all:
    input: "a.txt", "b.txt", "late.txt"
rule train:
    output: "{name}.txt"
    log: "logs/{name}.log"
    wildcard_constraints: name="a|b"
    priority: 2
    message: "Training {wildcards.name}"
    shell: "python training.py '{wildcards.name} seed 0' > >(exec tee {log}) 2>&1; touch {output}"
rule broken:
    output: "broken.txt"
    log: "logs/broken.log"
    message: "Breaking"
    shell: "(echo one; echo 'error: found 3, expected 4'; exit 2) > {log} 2>&1"
rule late:
    input: "broken.txt"
    output: "late.txt"
    shell: "touch {output}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workflow of two trainings, a job that fails, and one that waits for it."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "training.py").write_text(TRAINING)
    return tmp_path


def command(*more: str) -> list[str]:
    python = [sys.executable, "-m", "snakemake", "--profile", str(ROOT / "profiles" / "local")]
    return [*python, "--cores", "2", "--quiet", "host", "reason", "--logger", "status", *more]


PATHS = {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}


def test_where_the_output_is_no_terminal_it_is_a_line_now_and_then(folder: Path) -> None:

    result = subprocess.run(
        command("--logger-status-seconds", "2"),
        cwd=folder,
        env=os.environ | PATHS,
        capture_output=True,
        text=True,
        check=False,
    )
    said = result.stderr
    assert result.returncode == 1, said
    assert result.stdout == ""
    assert not set("\r\x1b") & set(said)
    assert "it/s" not in said  # no bar of a job
    lines = [line for line in said.splitlines() if "steps finished" in line]
    assert lines[0].startswith("0 of 5 steps finished, 0 running, 5 waiting")
    assert re.search(r"Training \w \(\d+ of 40, \d+ s left\)", said)
    assert lines[-1].startswith("2 of 5 steps finished, 0 running, 2 waiting, 1 failed")
    assert said.rstrip().endswith(lines[-1])
    told = said[said.index("failed: Breaking; log: logs/broken.log") :].splitlines()
    assert [line.strip() for line in told[1:3]] == ["one", "error: found 3, expected 4"]


def test_in_a_terminal_two_trainings_have_a_line_each(folder: Path) -> None:
    window = Terminal(command(), folder, **PATHS)
    said = window.rest()
    window.close()
    assert "it/s" not in plain(said)
    # Rich goes to the first line of the view again before it draws it anew.
    drawn = [plain(part) for part in re.split(r"\x1b\[1A\x1b\[2K", said)]
    rows = {line.rstrip() for part in drawn for line in part.splitlines()}
    assert any(re.search(r"Training a .*\b\d+ of 40, \d+ s left", row) for row in rows)
    assert any(re.search(r"Training b .*\b\d+ of 40, \d+ s left", row) for row in rows)
    assert not any("Training a" in row and "Training b" in row for row in rows)
    last = plain(said).replace("\r", "")
    assert "2 of 5 steps finished, 0 running, 2 waiting, 1 failed" in last
    assert "failed: Breaking; log: logs/broken.log" in last
    assert said.count("\x1b[?25h") >= 1  # the cursor is shown again


MESSAGES = """
import logging, time
from snakemake.settings.types import OutputSettings
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_logger_plugin_status import LogHandler, LogHandlerSettings

def emit(**values):
    handler.handle(logging.makeLogRecord({"levelno": 20, "levelname": "INFO", **values}))

handler = LogHandler(OutputSettings(), LogHandlerSettings())
emit(event=LogEvent.RUN_INFO, stats={"total": 3})
emit(event=LogEvent.JOB_INFO, jobid=1, rule_msg="Training", rule_name="train", log=[], local=True)
end = time.monotonic() + 4
while time.monotonic() < end:
    emit(msg="a message of Snakemake")
handler.close()
print("closed")
"""


def test_messages_and_the_drawing_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Messages without a pause, while the view is drawn again and again by its own thread."""
    window = Terminal([sys.executable, "-c", MESSAGES], tmp_path, **PATHS)
    try:
        said = plain(window.until("closed", seconds=120))
    finally:
        window.close()
    assert said.count("a message of Snakemake") > 1
    assert "0 of 3 steps finished, 1 running, 2 waiting" in said


def test_a_dry_run_and_a_finished_run_say_what_snakemake_says(folder: Path) -> None:

    def said(*more: str) -> str:
        options = {"cwd": folder, "env": os.environ | PATHS, "text": True, "check": True}
        result = subprocess.run(
            command(*more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
        )
        return result.stdout

    assert re.search(r"^train +1$", said("-n", "--", "a.txt"), re.M)
    assert "steps finished" in said("--", "a.txt")
    assert "Nothing to be done" in said("--", "a.txt")


def test_progress_is_read_from_a_real_bar_and_from_the_lines_of_jobs() -> None:
    drawn = io.StringIO()
    for _ in tqdm(range(3), desc="Loading weights", file=drawn):
        pass
    assert progress_in(drawn.getvalue()) is None
    bar = tqdm(total=80, desc="write-drop-read seed 0", file=drawn, mininterval=0)
    bar.update(20)
    bar.set_postfix(loss="7.843")
    found = progress_in(drawn.getvalue())
    bar.close()
    assert (found.done, found.of) == (20, 80)
    more = drawn.getvalue() + "\nasked 12 of 80 dialogues, 35 s left\n"
    assert progress_in(more) == Progress(12, 80, 35)
    more += (
        "strategy 'mesa' on 'sinwave', seed 0: epoch 1/2  train 0.1  valid 0.1  0.4 s, 7 s left\n"
    )
    assert progress_in(more) == Progress(1, 2, 7)
    assert progress_in("w seed 0:  17%|█▋ | 1/6 [00:16<1:01:24, 16.88s/it]").left == 3684
    assert progress_in("w seed 0:   0%|   | 0/6 [00:00<?, ?it/s]") == Progress(0, 6, None)


def test_a_log_of_an_earlier_run_is_not_this_jobs(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("asked 12 of 80 dialogues, 35 s left\n")
    assert Job(1, "Asking", (log,)).progress() == Progress(12, 80, 35)
    assert Job(1, "Asking", (log,), since=log.stat().st_mtime + 60).progress() is None
    assert Job(1, "Asking", (tmp_path / "none",)).tail() == ""


def test_a_job_of_a_cluster_is_queued_until_it_opens_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snakemake_logger_plugin_status.jobs.LOOK_SECONDS", -1)
    log, jobs = tmp_path / "log", Jobs(4)
    log.write_text("asked 12 of 80 dialogues, 35 s left\n")
    os.utime(log, (1e9, 1e9))  # of an earlier run
    jobs.begin(Job(1, "Training", (log,), remote=True, since=2e9))
    jobs.begin(Job(2, "Scoring", (), remote=True))  # nothing could tell
    jobs.begin(Job(3, "Reporting", (tmp_path / "none",)))
    assert "2 running, 1 in the cluster's queue, 1 waiting" in line(jobs)
    assert "Training" not in line(jobs)
    log.write_text("")  # its clock may be behind
    assert "3 running, 1 waiting" in line(jobs)
    assert abs(jobs.handed_over[1].since - time.time()) < 60
    log.write_text("asked 24 of 80 dialogues, 12 s left\n")
    assert "Training (24 of 80, 12 s left)" in line(jobs)
    jobs.begin(Job(1, "Training", (log,), remote=True, since=2e9))
    assert "2 running, 1 in the cluster's queue" in line(jobs)
    assert jobs.fail(1, "train", []).tail() == ""


def test_a_job_that_is_tried_again_has_not_failed() -> None:
    jobs = Jobs(3)
    jobs.begin(Job(1, "Training", ()))
    assert jobs.fail(1, "train", ["a.log"]).logs == (Path("a.log"),)
    assert jobs.fail(1, "train", ["a.log"]) is None
    assert (len(jobs.failed), jobs.waiting) == (1, 2)
    jobs.begin(Job(1, "Training", ()))
    jobs.finish(1)
    assert (jobs.done, len(jobs.failed), jobs.waiting) == (1, 0, 2)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(42.9, "42 s"), (419, "6 min"), (3 * 3600 + 300, "3 h 05 min")]
)
def test_a_duration_for_a_reader(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown
