"""The Slurm, and the same small study run beside it on this machine to compare with."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clone import Clone, copy_repository
from cluster import Cluster, Job, Unavailable, require
from small_study import LOCAL, Study, row

Begun = tuple[Clone, subprocess.Popen[bytes]]
FAULTS = pytest.StashKey[list[str]]()
JOBS = pytest.StashKey[list[str]]()
TABLES = {
    FAULTS: ("faults", ("fault", "Slurm's record", "lost", "seconds to the result")),
    JOBS: (
        "jobs, as Slurm recorded them",
        ("id", "rule", "state", "seconds", "memory", "GPUs asked for", "devices given"),
    ),
}


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the tables."""
    for table in TABLES:
        config.stash[table] = []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the tables; docs/faults.md holds a copy of the first."""
    for table, (title, columns) in TABLES.items():
        if lines := config.stash[table]:
            terminalreporter.section(title)
            terminalreporter.write_line(row(*columns))
            terminalreporter.write_line(row(*("---" for _ in columns)))
            for line in lines:
                terminalreporter.write_line(line)


def recorded(job: Job) -> str:
    """A job's line."""
    seconds = f"{(job.end - job.start).total_seconds():.0f}"
    devices = " ".join(job.devices)
    return row(job.id, job.rule, job.state, seconds, job.memory, job.gpus, devices)


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> list[str]:
    """Lines of the table of faults."""
    return request.config.stash[FAULTS]


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running Slurm; skips, with the reason, where none can be started."""
    try:
        require()
        started = Cluster()
        started.start()
    except Unavailable as reason:
        pytest.skip(f"no Slurm here: {reason}")
    yield started
    request.config.stash[JOBS] += map(recorded, started.jobs())
    started.stop()


@pytest.fixture(scope="session")
def begun(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Begun:
    """A copy in which the study has begun without Slurm: it runs beside the one on Slurm."""
    made = copy_repository(tmp_path_factory.mktemp("local"))
    with (made.path / "snakemake.log").open("w") as log:
        command = [sys.executable, "-m", "snakemake", *LOCAL]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        run = subprocess.Popen(command, cwd=made.path, env=environment, stdout=log, stderr=log)
    return made, run


@pytest.fixture(scope="session")
def study(cluster: Cluster, begun: Begun, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A copy in which the study has run through `--profile slurm`."""
    made = Study(copy_repository(tmp_path_factory.mktemp("slurm")), cluster)
    result = made.run()
    assert result.returncode == 0, result.stdout[-8000:]
    return made


@pytest.fixture(scope="session")
def local(begun: Begun) -> Clone:
    """A copy in which the study has run without Slurm."""
    made, run = begun
    assert run.wait() == 0, (made.path / "snakemake.log").read_text()[-8000:]
    return made


@pytest.fixture(scope="session")
def results(study: Study) -> Path:
    """What the study left."""
    return study.clone.path / "results" / "tiny"
