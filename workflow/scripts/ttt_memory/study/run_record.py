"""Where, by what and at what cost the files of a results folder were made."""

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from .provenance import provenance


def record(config: Mapping[str, Any], times: Path, repository: Path) -> dict[str, Any]:
    """What results/provenance.json holds.

    Args:
        config: the whole configuration, defaults included.
        times: folder of Snakemake's benchmark files, `RULE.tsv` or `RULE/**/*.tsv`.
        repository: where the code lies; not a git repository, its commit is null.
    """
    seeds = {f"runs.{name}": run["seeds"] for name, run in config["runs"].items()}
    seeds |= {"benchmark": config["benchmark"]["seed"], "forecast": config["forecast"]["seeds"]}
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git(repository, "rev-parse", "HEAD"),
        # Files that git does not know count as changes: they may be imported.
        "dirty": bool(_git(repository, "status", "--porcelain")),
        **provenance(dict(config)),
        "seeds": seeds,
        "host": _host(),
        "rules": costs(times, config["resources"]),
    }


def costs(times: Path, resources: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Jobs and hours of each rule, of the jobs whose outputs stand (a rerun replaces its times).

    GPU hours are the hours that GPUs were held, asked for by `resources`: wall time times GPUs.
    """
    found = {}
    for entry in sorted(times.iterdir()) if times.is_dir() else []:
        files = [entry] if entry.suffix == ".tsv" else sorted(entry.rglob("*.tsv"))
        if not files:
            continue
        jobs = pd.concat([pd.read_csv(file, sep="\t", na_values="-") for file in files])
        wall, rule = jobs["s"].sum() / 3600, entry.stem
        found[rule] = {
            "jobs": len(jobs),
            "wall_hours": round(wall, 4),
            "cpu_hours": round(jobs["cpu_time"].sum() / 3600, 4),
            "gpu_hours": round(wall * resources.get(rule, {}).get("gpu", 0), 4),
            "max_rss_mb": round(jobs["max_rss"].max(), 1),
        }
    return found


def _host() -> dict[str, Any]:
    """The machine that Snakemake runs on; on a cluster the jobs' machines are in their logs."""
    return {
        "name": platform.node(),
        "system": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "gpus": _lines(
            "nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"
        ),
    }


def _git(repository: Path, *arguments: str) -> str | None:
    """What git says, or None where there is no git or no repository."""
    lines = _lines("git", "-C", str(repository), *arguments)
    return None if lines is None else "\n".join(lines)


def _lines(*command: str) -> list[str] | None:
    """Lines that a command prints; None where it is missing or fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else None
