"""What the Slurm plugin's own query says of jobs, with a `squeue` that answers or does not.

`make test-slurm` does the same with a real Slurm.
"""

import asyncio
import os
from pathlib import Path

import pytest
from snakemake_executor_plugin_slurm.job_status_query import (
    query_job_status,
    query_job_status_squeue,
)

from ttt_memory.study.slurm_outage import patient
from ttt_memory.study.slurm_queue import telling

# States are asked of all jobs, reasons of those that wait.
SQUEUE = """#!/bin/sh
case "$*" in
  *states=PENDING*%i\\|%r*"--name run-1"*) cat reasons ;;
  *) cat states ;;
esac
"""


class Warnings:
    """A logger that keeps its warnings."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def debug(self, _: str) -> None:
        """Nothing is kept of the rest."""

    def warning(self, line: str) -> None:
        self.said.append(line)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the program `squeue` and what it answers."""
    program = tmp_path / "squeue"
    program.write_text(SQUEUE)
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize(
    ("reason", "for_good"),
    [
        ("PartitionTimeLimit", True),
        ("QOSMaxWallDurationPerJobLimit", True),
        ("QOSMaxMemoryPerJob", True),
        ("AssocMaxCpuPerJobLimit", True),
        ("DependencyNeverSatisfied", True),
        ("QOSMaxJobsPerUserLimit", False),
        ("AssocGrpCpuLimit", False),
        ("Resources", False),
        ("Priority", False),
    ],
)
def test_a_job_that_slurm_will_never_start_is_told_once(slurm, reason, for_good):
    (slurm / "states").write_text("7|RUNNING\n8|PENDING\n")
    (slurm / "reasons").write_text(f"8|{reason}\n")
    logger, query = Warnings(), telling(query_job_status)
    for _ in range(2):
        states, _ = asyncio.run(query(query_job_status_squeue("run-1"), logger))
        assert states == {"7": "RUNNING", "8": "PENDING"}
    assert len(logger.said) == for_good
    assert all(f"job 8: {reason}" in line for line in logger.said)


def test_without_an_answer_no_job_is_lost(slurm):
    """There are no files to answer from, so that `squeue` fails."""
    logger = Warnings()
    query = patient(telling(query_job_status))
    assert asyncio.run(query(query_job_status_squeue("run-1"), logger)) == ({}, 0.0)
    assert logger.said == ["Slurm does not answer `squeue`. Jobs go on; asking again."]
