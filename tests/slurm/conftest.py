"""The Slurm, and the same small study run beside it on this machine to compare with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clone import Clone, copy_repository
from cluster import Cluster, Unavailable, require
from study import LOCAL, Study

FAULTS = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the table of faults."""
    config.stash[FAULTS] = []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table of faults, which docs/faults.md holds a copy of."""
    if config.stash[FAULTS]:
        terminalreporter.section("faults")
        terminalreporter.write_line("| fault | Slurm's record | lost | seconds to the result |")
        terminalreporter.write_line("|---|---|---|---|")
        for line in config.stash[FAULTS]:
            terminalreporter.write_line(line)


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> list[str]:
    """Lines of the table of faults."""
    return request.config.stash[FAULTS]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running Slurm; skips, with the reason, where none can be started."""
    try:
        require()
        started = Cluster()
        started.start()
    except Unavailable as reason:
        pytest.skip(f"no Slurm here: {reason}")
    yield started
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
