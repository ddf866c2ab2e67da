"""A copy of the repository in which the real workflow runs."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import dryrun

ROOT = Path(__file__).parents[2]
# Not part of a fresh clone.
LEFT_OUT = (
    *(".git", ".venv", ".snakemake", ".hypothesis", "*_cache", "__pycache__"),
    *("results", "hub", "converted", "logs"),
)


@dataclass(frozen=True)
class Clone:
    """A copy of the repository in which Snakemake runs for real."""

    path: Path

    def snakemake(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake in the copy, as typed from its root; never raises.

        A dry run is one of a process that has Snakemake imported.
        """
        if not environment and {"-n", "--dry-run"} & set(arguments):
            code, _, said = dryrun.shared().run(self.path, *arguments)
            return subprocess.CompletedProcess(arguments, code, said)
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
