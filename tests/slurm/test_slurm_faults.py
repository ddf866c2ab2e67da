"""What breaks while a real Slurm trains: the result is the one of a run that nothing broke."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from clone import Clone
from cluster import wait_for
from small_study import Study, row
from trial import ATTEMPT, RUN, Trial

TRAINING = "train"


@pytest.fixture
def trial(study: Study, local: Clone) -> Iterator[Trial]:
    made = Trial(study, local)
    yield made
    made.end()


Note = Callable[[str, str, float], None]


@pytest.fixture
def told(faults: list[str], trial: Trial) -> Note:
    """Adds a line to the table of faults."""

    def note(fault: str, lost: str, seconds: float) -> None:
        faults.append(row(fault, ", ".join(states(trial)), lost, f"{seconds:.0f}"))

    return note


def states(trial: Trial) -> list[str]:
    return [job.state for job in trial.jobs()]


def no_step_is_lost(trial: Trial, end: str) -> float:
    """Each attempt after an `end` goes on where the one before it stopped; returns seconds.

    On a slow machine a time limit may end several attempts.
    """
    seconds = trial.finish()
    *ended, last = states(trial)
    assert (set(ended), last) == ({end}, "COMPLETED")
    for before, after in pairwise(trial.jobs()):
        assert trial.resumed_at(after) == trial.stopped_at(before)
    return seconds


def test_scancel_loses_no_step(trial: Trial, told: Note) -> None:
    trial.start()
    trial.hold()
    trial.cluster.run("scancel", trial.cluster.running(TRAINING))
    told("`scancel`", "no step", no_step_is_lost(trial, "CANCELLED"))


def test_time_limit_loses_no_step(trial: Trial, told: Note) -> None:
    trial.start("--set-resources", f"{TRAINING}:runtime=attempt")  # minutes
    trial.hold()
    told("time limit", "no step", no_step_is_lost(trial, "TIMEOUT"))


def test_out_of_memory_is_tried_again_with_more(trial: Trial, told: Note) -> None:
    trial.start("--set-resources", f"{TRAINING}:mem_mb=attempt*500")
    seconds = trial.finish()
    first, *_, last = trial.jobs()
    assert (first.state, last.state) == ("FAILED", "COMPLETED")
    assert int(first.memory.rstrip("M")) < int(last.memory.rstrip("M"))
    assert "exceeded memory limit" in (trial.cluster.home / "slurmd.log").read_text()
    told("over its memory (Slurm's own limit)", "steps since the last checkpoint", seconds)


def test_killed_process_goes_on_from_its_last_checkpoint(trial: Trial, told: Note) -> None:
    trial.start()
    os.kill(trial.hold(), signal.SIGKILL)
    seconds = trial.finish()
    assert states(trial) == ["FAILED", "COMPLETED"]
    assert trial.resumed_at(trial.jobs()[1]) > 0
    told("`kill -9` of the training", "steps since the last checkpoint", seconds)


def test_slurmd_may_stop_and_start(trial: Trial, told: Note) -> None:
    trial.start()
    process = trial.hold()
    trial.cluster.stop_slurmd()
    os.kill(process, signal.SIGCONT)
    wait_for((trial.folder / RUN / "curve.parquet").is_file, "the end of training", ATTEMPT)
    trial.cluster.start_slurmd()
    seconds = trial.finish()
    assert states(trial) == ["COMPLETED"]
    told("slurmd stopped, the training ended, slurmd started", "nothing", seconds)


def test_slurmctld_may_stop_and_start(trial: Trial, told: Note) -> None:
    """snakemake-executor-plugin-slurm#207, #331: jobs out of sight were waited for forever."""
    trial.start()
    process = trial.hold()
    trial.cluster.stop_slurmctld()
    wait_for(lambda: "Slurm does not answer" in trial.study.said(), "a missing answer", ATTEMPT)
    os.kill(process, signal.SIGCONT)
    wait_for((trial.folder / RUN / "curve.parquet").is_file, "the end of training", ATTEMPT)
    trial.cluster.start_slurmctld()
    seconds = trial.finish()
    assert states(trial) == ["COMPLETED"]
    told("slurmctld stopped, the training ended, slurmctld started", "nothing", seconds)


def test_killed_snakemake_leaves_a_lock_that_is_told(trial: Trial, told: Note) -> None:
    trial.start()
    trial.hold()
    trial.snakemake.kill()
    trial.snakemake.wait()
    second = trial.study.run("--", str(RUN / "curve.parquet"))
    assert second.returncode != 0
    assert second.stdout.count("Directory cannot be locked") == 1
    assert "Traceback" not in second.stdout
    assert trial.cluster.running(TRAINING), "the job of the killed Snakemake goes on"
    recover(trial)
    assert not trial.cluster.running(TRAINING)
    trial.start()
    seconds = trial.finish()
    assert states(trial) == ["CANCELLED", "COMPLETED"]
    first, last = trial.jobs()
    assert trial.resumed_at(last) == trial.stopped_at(first)
    told("`kill -9` of Snakemake, `make recover`, started again", "no step", seconds)


def recover(trial: Trial) -> None:
    """`make recover` in the copy, with this interpreter's environment in place of its own."""
    programs = os.path.dirname(sys.executable)
    subprocess.run(
        ["make", "recover", "CONFIG=config/smoke.yaml tests/slurm/tiny.yaml"],
        cwd=trial.folder,
        env={**trial.cluster.environment, "PATH": f"{programs}:{os.environ['PATH']}"},
        check=True,
    )
