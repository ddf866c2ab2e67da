"""The last three lines of a run, where there is less than a verdict, a report and a memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clone import ROOT
from ttt_memory.conversation.config.training import MEMORY
from ttt_memory.study.ending import is_run, lines


def with_report(folder: Path, runs: dict) -> Path:
    (folder / "report").mkdir()
    page = folder / "report" / "index.html"
    page.write_text("<html>")
    record = {"config": {"runs": runs, "report": {}, "scoring": {}}}
    (folder / "provenance.json").write_text(json.dumps(record))
    return page


def with_memory(folder: Path, run: str) -> Path:
    model = folder / "runs" / run / "0" / "model"
    (model / MEMORY).parent.mkdir(parents=True)
    (model / MEMORY).touch()
    return model


def test_a_failed_run_has_no_verdict(tmp_path):
    verdict, report, chat = lines(tmp_path, failed=True)
    assert verdict.startswith("Verdict: none, the run failed")
    assert report == "Report: none"
    assert chat.startswith("Chat: nothing was trained to talk to; make demo")
    page, model = with_report(tmp_path, {}), with_memory(tmp_path, "b-mini")
    verdict, report, chat = lines(tmp_path, failed=True)
    assert verdict.startswith("Verdict: none, the run failed")
    assert report == f"Report: none of this run; {page} is of an earlier one"
    assert f"make chat MODEL={model}," in chat


def test_the_memory_of_the_baseline_run_is_named_first(tmp_path):
    model = with_memory(tmp_path, "write-drop-read")
    with_memory(tmp_path, "zebra")
    assert f"MODEL={model}," in lines(tmp_path, failed=True)[2]


def test_the_memory_of_another_baseline_run_is_named_first(tmp_path):
    with_memory(tmp_path, "write-drop-read")
    model = with_memory(tmp_path, "b-mini")
    os.utime(model, (0, 0))  # it is not the newest
    record = {"config": {"report": {"baseline": "b-mini"}}}
    (tmp_path / "provenance.json").write_text(json.dumps(record))
    assert f"MODEL={model}," in lines(tmp_path, failed=True)[2]


def test_a_study_without_conversations_says_so(tmp_path):
    page = with_report(tmp_path, {})
    verdict, report, chat = lines(tmp_path, failed=False)
    assert verdict == (
        "Verdict: none, this study holds no conversations; its forecasts are in the report"
    )
    assert report == f"Report: {page}"
    assert chat.startswith("Chat: nothing was trained to talk to")


def test_a_run_for_some_files_says_so(tmp_path):
    verdict, report, _ = lines(tmp_path, failed=False)
    assert verdict == "Verdict: none, only some of the files were asked for"
    assert report == "Report: none"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--configfile", "config/smoke.yaml"], True),
        (["--resources", "gpu=2"], True),
        (["-n"], False),
        (["--configfile", "config/smoke.yaml", "--dry-run"], False),
        (["--report=x.html"], False),
    ],
)
def test_what_runs_no_job_has_no_end(arguments, expected):
    assert is_run(arguments) is expected


def test_the_script_prints_nothing_after_a_dry_run_and_refuses_what_it_does_not_know(tmp_path):
    def told(*arguments: str) -> subprocess.CompletedProcess[str]:
        script = ROOT / "workflow" / "scripts" / "tell_end.py"
        command = [sys.executable, str(script), *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert told("--status", "0", "-n").stdout == ""
    wrong = told("0")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: expected --status and a number")
