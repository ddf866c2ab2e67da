"""Fixtures that run the real workflow in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Not part of a fresh clone.
LEFT_OUT = (
    *(".git", ".venv", ".snakemake", ".hypothesis", "*_cache", "__pycache__"),
    *("results", "hub", "logs"),
)


@dataclass(frozen=True)
class Clone:
    """A copy of the repository in which Snakemake runs for real."""

    path: Path

    def snakemake(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake in the copy, as typed from its root; never raises."""
        own = {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(self.path / ".cache")}
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.path,
            env={**os.environ, **own, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def planned(self, *arguments: str) -> dict[str, int]:
        """How many jobs of each rule a dry run would run."""
        result = self.snakemake("--profile", "local", "--dry-run", *arguments)
        assert result.returncode == 0, result.stdout
        return jobs_of(result.stdout)


def jobs_of(output: str) -> dict[str, int]:
    """The table of jobs that Snakemake prints; empty where there is nothing to do."""
    if "Nothing to be done" in output:
        return {}
    table = output.split("Job stats:")[1].split("\ntotal")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


def copy_repository(target: Path) -> Clone:
    """The working tree as a fresh clone would have it, outputs and caches left out."""
    shutil.copytree(
        ROOT, target, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True
    )
    (target / "results").mkdir()
    return Clone(target)


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which nothing has run: for dry runs and refusals."""
    return copy_repository(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="session")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which the smoke preset has run to its report."""
    made = copy_repository(tmp_path_factory.mktemp("executed"))
    result = made.snakemake("--profile", "local", "--configfile", "config/smoke.yaml")
    assert result.returncode == 0, result.stdout[-8000:]
    return made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share the executed run go to one worker, so that it runs once."""
    for item in items:
        if "executed" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("executed"))
