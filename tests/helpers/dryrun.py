"""Runs of the real Snakemake, each in a fresh process that has its imports already."""

import logging
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# What Snakemake and the Snakefile import from libraries takes longer than a dry run.
PRELOADED = ["snakemake.cli", "snakemake.workflow", "snakemake.dag", "pydantic", "pandas"]
UPDATED = "Updated input files: "


@dataclass(frozen=True)
class Job:
    """A job that a dry run plans."""

    rule: str
    wildcards: dict[str, str]
    inputs: frozenset[str]
    outputs: frozenset[str]  # with the file of its times
    reason: str

    def updated(self) -> set[str]:
        """Inputs whose content is not the one on record."""
        parts = [part for part in self.reason.split("; ") if part.startswith(UPDATED)]
        return {name for part in parts for name in part.removeprefix(UPDATED).split(", ")}


class DryRuns:
    """Plans what Snakemake would run in a folder."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._pool = ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1)

    def __call__(self, folder: Path, *arguments: str) -> list[Job]:
        """The planned jobs, as Snakemake itself tells its loggers.

        Raises:
            RuntimeError: Snakemake refuses; holds what it said.
        """
        code, jobs, said = self.run(folder, "--profile", "local", "--dry-run", *arguments)
        if code:
            raise RuntimeError(said)
        return jobs

    def run(self, folder: Path, *arguments: str) -> tuple[int, list[Job], str]:
        """The exit status of Snakemake, the jobs that it told, and all that it said."""
        return self._pool.submit(_run, folder, arguments).result()

    def close(self) -> None:
        """End the process that the others start from."""
        self._pool.shutdown()


@cache
def shared() -> DryRuns:
    """One for all tests of this process."""
    return DryRuns()


def _run(folder: Path, arguments: tuple[str, ...]) -> tuple[int, list[Job], str]:
    from snakemake import cli
    from snakemake.logging import logger

    jobs: list[Job] = []
    # A filter, since Snakemake sets up the handlers anew.
    logger.addFilter(lambda record: _collect(record, jobs))
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = str(folder / ".cache")
    sys.argv = ["snakemake", *arguments]  # the workflow reads it
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            cli.main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
        file.seek(0)
        return code, jobs, file.read().decode()


def _collect(record: logging.LogRecord, jobs: list[Job]) -> bool:
    from snakemake_interface_logger_plugins.common import LogEvent

    if getattr(record, "event", None) == LogEvent.JOB_INFO:
        made = [*record.output, *([record.benchmark] if record.benchmark else [])]
        wildcards = {name: str(value) for name, value in record.wildcards.items()}
        inputs = frozenset(map(str, record.input))
        outputs = frozenset(map(str, made))
        jobs.append(Job(record.rule_name, wildcards, inputs, outputs, record.reason))
    return True
