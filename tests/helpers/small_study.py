"""The small study of these tests: how it is run, and what of it must be the same everywhere."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clone import Clone
from cluster import Cluster

CONFIG = ("--configfile", "config/smoke.yaml", "tests/slurm/tiny.yaml")
LOCAL = ("--profile", "local", *CONFIG)
# This Slurm keeps no accounting and answers at once, and there is one file system.
SLURM = (
    *("--profile", "slurm", "--slurm-status-command", "squeue", "--slurm-no-account"),
    *("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10"),
    *CONFIG,
)
# The report is drawn from the tables, and shows the times that they hold.
MEASURED = {"benchmarks", "checkpoints", "logs", "provenance.json", "report"}


@dataclass(frozen=True)
class Study:
    """A copy of the repository whose jobs go to a cluster."""

    clone: Clone
    cluster: Cluster

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end; never raises."""
        return self.clone.snakemake(*SLURM, *arguments, **self._environment)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start Snakemake; what it says goes to `snakemake.log` in the copy."""
        with (self.clone.path / "snakemake.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "snakemake", *SLURM, *arguments],
                cwd=self.clone.path,
                env={**os.environ, **self._environment, "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def said(self) -> str:
        """What the started Snakemakes said so far."""
        return (self.clone.path / "snakemake.log").read_text()

    @property
    def _environment(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.cluster.configuration)}


def contents(results: Path) -> dict[str, bytes]:
    """Every result by its path, without the times measured in it."""
    files = [path for path in results.rglob("*") if path.is_file()]
    found = {path.relative_to(results): path for path in files}
    return {
        str(name): untimed(path)
        for name, path in found.items()
        if name.parts[0] not in MEASURED and not path.name.startswith(".snakemake")
    }


def untimed(path: Path) -> bytes:
    """The file's bytes; of a table, those of all columns and metrics but the seconds."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        if "metric" in table.column_names:
            table = table.filter(pc.invert(pc.ends_with(table["metric"], "seconds")))
        measured = [name for name in table.column_names if name.endswith("seconds")]
        table = table.drop_columns(measured)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table.combine_chunks())
        return sink.getvalue().to_pybytes()
    return path.read_bytes()


def row(*cells: object) -> str:
    """A line of a table."""
    return "| " + " | ".join(map(str, cells)) + " |"
