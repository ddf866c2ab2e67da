"""After a killed Snakemake: its jobs and locks go, those of another study in the folder stay.

`make test-slurm` does it on a real Slurm, with one study.
"""

import os
from pathlib import Path

import pytest

from scripts import run_script
from ttt_memory.study import recovery

# As the plugin for Slurm submits a job, with presets in full and values in quotes.
SCRIPT = """#!/bin/sh
# This script was created by sbatch --wrap.

TTT_TRAIN_LAUNCHER='python' python -m snakemake --snakefile {here}/Snakefile --target-jobs \
'train:run=b-mini,seed=0' --allowed-rules train --force --configfiles {files} --config {config} \
--mode remote
"""
# Id, working directory, presets and values of `--config` of each job that Slurm knows.
JOBS = [
    ("1", "", "smoke.yaml", "'recall={shards: 2}'"),
    ("2", "", "smoke.yaml tiny.yaml", ""),
    ("3", "", "tiny.yaml", "results=results/smoke"),
    ("4", "/elsewhere", "smoke.yaml", ""),
    ("5", "", "smoke.yaml", "mark=no#1 'results=results/mine'"),
]
OTHERS = ["6", "7"]
SQUEUE = '#!/bin/sh\nfor job in *.job; do [ -e "$job" ] && cat "$job"; done; exit 0\n'
SCONTROL = '#!/bin/sh\ncat "$3.script"\n'
SCANCEL = '#!/bin/sh\nfor id in "$@"; do rm "$id.job"; done\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two presets and the jobs, and a Slurm that knows them."""
    monkeypatch.chdir(tmp_path)
    for name, results in (("smoke", "results/smoke"), ("tiny", "results/tiny")):
        (tmp_path / f"{name}.yaml").write_text(f"results: {results}\n")
    (tmp_path / "config.yaml").write_text("runs: {}\n")
    for job, folder, files, given in JOBS:
        (tmp_path / f"{job}.job").write_text(f"{job} {folder or tmp_path}\n")
        full = " ".join(f"{tmp_path}/{name}" for name in files.split())
        script = SCRIPT.format(here=tmp_path, files=full, config=given)
        (tmp_path / f"{job}.script").write_text(script)
    # An interactive job has no script, and one that is not Snakemake's another.
    for job in OTHERS:
        (tmp_path / f"{job}.job").write_text(f"{job} {tmp_path}\n")
    (tmp_path / "7.script").write_text("#!/bin/sh\necho it's\n")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("squeue", SQUEUE), ("scontrol", SCONTROL), ("scancel", SCANCEL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "cancelled"),
    [
        (["--configfile", "smoke.yaml"], ["1", "3"]),
        (["--configfile", "smoke.yaml", "tiny.yaml"], ["2"]),
        (["--configfile=smoke.yaml", "--config", "results=results/mine"], ["5"]),
        ([], []),
    ],
)
def test_jobs_of_another_results_folder_go_on(
    here: Path, arguments: list[str], cancelled: list[str]
) -> None:
    assert recovery.cancel_jobs(recovery.results_of(arguments)) == cancelled
    left = {path.stem for path in here.glob("*.job")}
    assert left == {job for job, *_ in JOBS}.union(OTHERS) - set(cancelled)


def test_without_an_answer_of_slurm_nothing_is_lifted(here: Path) -> None:
    """A job that runs on would write what a study started again writes."""
    locks = here / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (here / "results" / "smoke" / "logs").mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/smoke/runs/b-mini/0/model\n")
    (here / "programs" / "squeue").write_text("#!/bin/sh\necho no controller >&2\nexit 1\n")
    done = run_script("recover", "--configfile", "smoke.yaml", folder=here)
    assert done.returncode == 2
    assert done.stderr.startswith("error: squeue: found no answer of Slurm (no controller)")
    assert [path.name for path in locks.iterdir()] == ["0.output.lock"]
    assert len(list(here.glob("*.job"))) == len(JOBS) + len(OTHERS)


def test_locks_of_another_results_folder_stay(here: Path) -> None:
    locks = here / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    for folder in ("results", "results/smoke", "logs/slurm"):
        (here / folder / "logs").mkdir(parents=True)
    (locks / "0.input.lock").write_text("workflow/a.py\nresults/smoke/corpus/x.parquet\n")
    (locks / "0.output.lock").write_text("results/smoke/runs/b-mini/0/model\n")
    (locks / "1.input.lock").write_text("workflow/a.py\nresults/corpus/x.parquet\n")
    (locks / "1.output.lock").write_text("results/report/index.html\n")

    def left() -> list[str]:
        return sorted(path.name for path in locks.iterdir())

    recovery.lift_locks(recovery.results_of(["--configfile", "tiny.yaml"]))
    assert len(left()) == 4
    recovery.lift_locks(recovery.results_of(["--configfile", "smoke.yaml"]))
    assert left() == ["1.input.lock", "1.output.lock"]
    recovery.lift_locks(recovery.results_of([]))
    assert left() == []
