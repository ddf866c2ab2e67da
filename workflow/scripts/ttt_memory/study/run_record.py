"""The record of a study: where its results were made, with what code, and how long it took."""

import json
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


def record(
    config: Mapping[str, Any], times: Path, repository: Path, origin: Path | None = None
) -> dict[str, Any]:
    """The content of results/provenance.json.

    Args:
        config: the whole configuration, with defaults.
        times: the folder of Snakemake's benchmark files, `RULE.tsv` or `RULE/**/*.tsv`.
        repository: the folder of the code. If it is not a git repository, the commit is null.
        origin: the note of where a converted base model comes from, JSON. Other models have none.
    """
    seeds = {f"runs.{name}": run["seeds"] for name, run in config["runs"].items()}
    seeds |= {"benchmark": config["benchmark"]["seed"], "forecast": config["forecast"]["seeds"]}
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git(repository, "rev-parse", "HEAD"),
        # A file that git does not track counts as a change, because code may import it.
        "dirty": bool(_git(repository, "status", "--porcelain")),
        **provenance(dict(config)),
        "seeds": seeds,
        "base_origin": json.loads(origin.read_text(encoding="utf-8")) if origin else None,
        "host": _host(),
        "rules": costs(times, config["resources"]),
    }


def costs(times: Path, resources: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The number of jobs, the hours and the RAM of each rule.

    A job that was run again counts once, with its last run. GPU hours are wall time times the
    number of GPUs that `resources` reserves, used or not.
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
    """The machine that Snakemake runs on. On a cluster, jobs name their machine in their logs."""
    return {
        "name": platform.node(),
        "system": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
        "gpus": _lines(
            "nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"
        ),
    }


def _git(repository: Path, *arguments: str) -> str | None:
    """The output of git, or None if there is no git or no repository."""
    lines = _lines("git", "-C", str(repository), *arguments)
    return None if lines is None else "\n".join(lines)


def _lines(*command: str) -> list[str] | None:
    """The lines that a command prints, or None if it does not exist or fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else None
