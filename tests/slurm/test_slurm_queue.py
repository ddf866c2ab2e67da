"""A job that asks a real Slurm for more than its partition allows is told at once."""

import subprocess
import sys
from pathlib import Path

from clone import ROOT
from cluster import Cluster, wait_for

SNAKEFILE = """
from ttt_memory.study import slurm_outage
slurm_outage.outlast()
rule train:
    output: "made.txt"
    resources: mem_mb=100, runtime=2, slurm_partition="short"
    shell: "touch {output}"
"""
OPTIONS = (
    *("--executor", "slurm", "--jobs", "1", "--slurm-status-command", "squeue"),
    *("--slurm-no-account", "--slurm-init-seconds-before-status-checks", "2"),
)


def test_a_job_beyond_its_partition_s_time_is_told(cluster: Cluster, tmp_path: Path) -> None:
    cluster.run("scontrol", "create", "PartitionName=short", "Nodes=ALL", "MaxTime=1")
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    log = tmp_path / "snakemake.log"
    with log.open("wb") as file:
        snakemake = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *OPTIONS],
            cwd=tmp_path,
            env=cluster.environment | {"PYTHONPATH": str(ROOT / "workflow" / "scripts")},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: "PartitionTimeLimit" in log.read_text(), "a warning", 600)
    finally:
        snakemake.kill()
        snakemake.wait()
        cluster.run("scancel", "--partition=short")
        cluster.run("scontrol", "delete", "PartitionName=short")
    assert "Slurm will not start job" in log.read_text()
    assert not (tmp_path / "made.txt").exists()
