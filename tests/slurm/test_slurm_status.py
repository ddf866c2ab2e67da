"""The status view of jobs of a real Slurm: which of them run, and which its queue holds."""

import subprocess
import sys
from pathlib import Path

from clone import ROOT
from cluster import Cluster

# Each job takes all four processors of the node, so that one of them has to wait.
SNAKEFILE = """
rule all:
    input: "a.txt", "b.txt"
rule train:
    output: "{name}.txt"
    log: "logs/{name}.log"
    threads: 4
    resources: mem_mb=1000
    message: "Training {wildcards.name}"
    shell: "(echo asked 12 of 80 dialogues, 35 s left; sleep 20) > {log}; touch {output}"
"""
OPTIONS = (
    *("--executor", "slurm", "--jobs", "2", "--latency-wait", "10"),
    *("--slurm-status-command", "squeue", "--slurm-no-account"),
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
    *("--logger", "status", "--logger-status-seconds", "1"),
)


def test_a_job_in_the_queue_is_not_said_to_run(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    said = tmp_path / "said"
    with said.open("w") as out:
        result = subprocess.run(
            [sys.executable, "-m", "snakemake", *OPTIONS],
            cwd=tmp_path,
            env=cluster.environment | {"PYTHONPATH": str(ROOT / "workflow" / "scripts")},
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    assert result.returncode == 0, said.read_text()
    lines = [line for line in said.read_text().splitlines() if "steps finished" in line]
    assert any("0 running, 2 in the cluster's queue, 1 waiting" in line for line in lines), lines
    one = [line for line in lines if "1 running, 1 in the cluster's queue, 1 waiting" in line]
    assert one, lines
    assert "(12 of 80, 35 s left)" in one[-1]
    assert one[-1].count("Training") == 1
    # Later both may be said to run: Snakemake hears of the end of one after the other has begun.
    before = lines[: lines.index(one[-1])]
    assert not any("2 running" in line for line in before), before
    assert lines[-1].startswith("3 of 3 steps finished, 0 running, 0 waiting")
