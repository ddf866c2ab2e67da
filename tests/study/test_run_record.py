"""The record of a study: hours by rule, and the state of the code."""

import subprocess
from pathlib import Path

import pytest

from presets import preset_config
from ttt_memory.study.run_record import costs, record

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark_file(path: Path, seconds: float, rss: str, cpu: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}{seconds}\t0:00:01\t{rss}\t1\t1\t1\t0\t0\t99\t{cpu}\n")


def test_hours_are_summed_by_rule_and_gpus_counted_while_held(tmp_path: Path) -> None:
    benchmark_file(tmp_path / "train" / "write-drop-read" / "0.tsv", 3600, "900", 7000)
    benchmark_file(tmp_path / "train" / "write-drop-read" / "1.tsv", 1800, "-", 3800)
    benchmark_file(tmp_path / "report.tsv", 36, "50", 18)
    found = costs(tmp_path, {"train": {"gpu": 2}, "report": {"gpu": 0}})
    assert found["train"] == {
        "jobs": 2,
        "wall_hours": 1.5,
        "cpu_hours": 3.0,
        "gpu_hours": 3.0,
        "max_rss_mb": 900.0,
    }
    assert found["report"]["wall_hours"] == pytest.approx(0.01)
    assert found["report"]["gpu_hours"] == 0
    assert costs(tmp_path / "absent", {}) == {}


def test_commit_and_uncommitted_changes_are_recorded(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        command = ["git", *identity, "-C", str(tmp_path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    config = preset_config("smoke").model_dump(mode="json")
    assert record(config, tmp_path, tmp_path)["commit"] is None
    assert record(config, tmp_path, tmp_path)["base_origin"] is None
    (tmp_path / "origin.json").write_text('{"license": "mit"}')
    origin = tmp_path / "origin.json"
    assert record(config, tmp_path, tmp_path, origin)["base_origin"] == {"license": "mit"}
    origin.unlink()
    git("init")
    (tmp_path / "a.py").write_text("1")
    git("add", "a.py")
    git("commit", "-m", "a")
    found = record(config, tmp_path, tmp_path)
    assert found["commit"] == git("rev-parse", "HEAD")
    assert not found["dirty"]
    assert found["seeds"]["benchmark"] == config["benchmark"]["seed"]
    (tmp_path / "a.py").write_text("2")
    assert record(config, tmp_path, tmp_path)["dirty"]
