"""The Slurm, and the same small study run beside it on this machine to compare with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clone import Clone, copy_repository
from cluster import Cluster, Job, Unavailable, require
from small_study import LOCAL, Study, row

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
def local(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which the study has run without Slurm."""
    made = copy_repository(tmp_path_factory.mktemp("local"))
    result = made.snakemake(*LOCAL)
    assert result.returncode == 0, result.stdout[-8000:]
    return made


@pytest.fixture(scope="session")
def study(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A copy in which the study has run through `--profile slurm`."""
    made = Study(copy_repository(tmp_path_factory.mktemp("slurm")), cluster)
    result = made.run()
    assert result.returncode == 0, result.stdout[-8000:]
    return made


@pytest.fixture(scope="session")
def results(study: Study) -> Path:
    """What the study left."""
    return study.clone.path / "results" / "tiny"
