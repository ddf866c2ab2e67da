"""Time and RAM of Snakemake itself, by number of jobs.

    python benchmarks/scale.py [--jobs 100 1000 10000] [--kind shards strategies] [--check]

Each measurement is one `snakemake` process in a copy of the repository; its wall time and its
largest resident memory (RAM) are printed. The columns are: building the graph of jobs (`dag`), a
dry run, a run in which Snakemake schedules every job but executes none (`touch run`: `--touch`
without its pause, 100 jobs at a time as in profiles/slurm), and a run with nothing to do (`no-op
run`). The touch run shows what scheduling adds to a run. It is not measured above 2,000 jobs,
because its time grows with their square. Kind `shards` splits the conditions of a run into that
many jobs; kind `strategies` trains forecast strategies with that many seeds. --check exits with
status 1 when a dry run of 1,000 shards takes 30 s or more.
"""

import argparse
import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET_JOBS, TARGET_SECONDS = 1000, 30.0
# Without this, `--touch` sleeps a tenth of a second for each job.
TOUCH = "from snakemake.executors import touch; touch.Executor.SLEEPING_TIME = 0; "
# The scheduler looks at all ready jobs to choose one. Above this number of jobs its choice is
# replaced: all ready jobs start at once.
SCHEDULED = 2000
AT_ONCE = "from snakemake.scheduling.greedy import Scheduler; "
AT_ONCE += "Scheduler.select_jobs = lambda self, ready, *rest: list(ready); "
MAIN = "from snakemake.cli import main; main()"
STEPS = ("dag", "dry run", "touch run", "no-op run")


def preset(kind: str, jobs: int) -> dict:
    """A configuration with about `jobs` jobs, nearly all of the given kind."""
    if kind == "strategies":
        return {
            "runs": {"b-mini": None, "write-drop-read": {"sweeps": False}},
            "recall": {"conditions": ["A", "B", "C"]},
            "forecast": {
                "strategies": {"titans_default": None, "mesa": None},
                "baselines": {"ar_ridge": None, "online_rls": None, "last_value": None},
                "comparison": {"compared_with": "no_memory"},
                "seeds": list(range(jobs)),
            },
        }
    return {
        "benchmark": {"samples_per_level": jobs},
        "runs": {"b-mini": None, "write-drop-read": {"sweeps": False}},
        "recall": {"conditions": ["A", "B", "C"], "shards": max(1, jobs // 3)},
        "forecast": None,
    }


def copy_repository(folder: Path) -> None:
    """Copy the files of the repository, but no results, to `folder`."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, os.fsdecode(listed).split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)


def snakemake(
    folder: Path, *arguments: str, program: tuple[str, str] = ("-m", "snakemake")
) -> tuple[float, int, str]:
    """Run Snakemake; returns its seconds, its largest resident memory in MB and its output."""
    command = [sys.executable, *program, "--profile", "profiles/local"]
    command += ["--configfile", "scale.json", *arguments]
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if process.returncode:
            sys.exit(f"benchmarks/scale.py: {' '.join(command)} failed:\n{err.read()[-2000:]}")
        return seconds, usage.ru_maxrss // 1024, out.read()


def make_outputs(folder: Path) -> int:
    """Make every output as an empty file or folder; returns their number."""
    _, _, summary = snakemake(folder, "--summary")
    rows = list(csv.DictReader(summary.splitlines(), delimiter="\t"))
    for row in rows:
        path = folder / row["output_file"]
        if path.name == "model":
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return len(rows)


def touch_all(folder: Path, jobs: int) -> float:
    """Let Snakemake accept all outputs as made; returns seconds, or NaN above SCHEDULED jobs."""
    scheduled = jobs <= SCHEDULED
    program, cores = (TOUCH + MAIN, "100") if scheduled else (TOUCH + AT_ONCE + MAIN, str(2 * jobs))
    every = ("--touch", "--cores", cores, "--quiet", "all")
    seconds, _, _ = snakemake(folder, *every, program=("-c", program))
    return seconds if scheduled else math.nan


def measure(kind: str, jobs: int) -> dict:
    """Measure one row of the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy_repository(folder)
        (folder / "scale.json").write_text(json.dumps(preset(kind, jobs)))
        dag, _, _ = snakemake(folder, "--d3dag")
        dry, _, plan = snakemake(folder, "--dry-run", "--quiet", "rules")
        make_outputs(folder)
        touch = touch_all(folder, jobs)
        noop, memory, _ = snakemake(folder, "--quiet", "all")
    planned = int(re.search(r"^total +(\d+)$", plan, re.MULTILINE)[1])
    found = (dag, dry, touch, noop)
    return {"kind": kind, "jobs": planned, **dict(zip(STEPS, found, strict=True)), "MB": memory}


def main() -> None:
    """Measure, print the table and check the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument(
        "--kind", nargs="+", choices=["shards", "strategies"], default=["shards", "strategies"]
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help=f"exit with 1 if a dry run of {TARGET_JOBS} shards takes {TARGET_SECONDS:g} s",
    )
    args = parser.parse_args()
    print(
        f"{'kind':<12}{'jobs':>8}" + "".join(f"{step + ', s':>14}" for step in STEPS) + f"{'MB':>8}"
    )
    missed = []
    for kind in args.kind:
        for jobs in args.jobs:
            row = measure(kind, jobs)
            times = "".join(f"{row[step]:>14.1f}" for step in STEPS)
            print(f"{kind:<12}{row['jobs']:>8}{times}{row['MB']:>8}", flush=True)
            if (kind, jobs) == ("shards", TARGET_JOBS) and row["dry run"] >= TARGET_SECONDS:
                missed.append(f"dry run of {jobs} shards {row['dry run']:.1f} s")
    if args.check and missed:
        sys.exit(f"benchmarks/scale.py: target missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
