"""Jobs that run at the same time take different GPUs. Without a GPU they use the CPU."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from yte import process_yaml

from clone import ROOT
from ttt_memory.errors import UserError
from ttt_memory.study import devices

GPUS = ["GPU-a", "GPU-b"]
HOLD = """
import sys
from pathlib import Path
from ttt_memory.study.devices import claim
count, folder, *gpus = sys.argv[1:]
print(*claim(gpus, Path(folder), int(count)), flush=True)
sys.stdin.read()
"""
# Takes a GPU, then becomes another program.
BECOME = """
import os, sys
from pathlib import Path
from ttt_memory.study.devices import claim
claim(sys.argv[2:], Path(sys.argv[1]))
os.execvp("sh", ["sh", "-c", "echo 0; read line"])
"""


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT / "workflow" / "scripts",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def holder(folder: Path, count: int = 1) -> tuple[subprocess.Popen[str], list[int]]:
    """A process that has taken GPUs, and their numbers."""
    process = started(HOLD, count, folder, *GPUS)
    return process, [int(place) for place in process.stdout.readline().split()]


def end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.kill()
        process.wait()


def test_jobs_take_different_gpus_and_give_them_back_when_killed(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    first, taken = holder(folder)
    second, other = holder(folder)
    try:
        assert (taken, other) == ([0], [1])
        end(second)
        assert devices.claim(GPUS, folder) == [1]
        assert devices.claim(GPUS[::-1], tmp_path / "own") == [0]
    finally:
        end(first, second)


def test_a_job_waits_where_all_gpus_are_taken_and_says_so(tmp_path: Path) -> None:
    first, taken = holder(tmp_path / "locks", 2)
    third = started(HOLD, 1, tmp_path / "locks", *GPUS)
    try:
        assert taken == [0, 1]
        assert third.stderr.readline() == "other jobs have taken 2 of 2 GPUs: waiting\n"
        assert third.poll() is None
        end(first)
        assert third.stdout.readline() == "0\n"
    finally:
        end(first, third)


def test_a_program_that_takes_the_place_of_a_job_keeps_its_gpus(tmp_path: Path) -> None:
    launched = started(BECOME, tmp_path, *GPUS)
    try:
        assert launched.stdout.readline() == "0\n"
        assert devices.claim(GPUS, tmp_path) == [1]
    finally:
        end(launched)


def test_all_users_lock_the_same_files(tmp_path: Path) -> None:
    devices.claim(GPUS, tmp_path / "locks")
    assert (tmp_path / "locks").stat().st_mode & 0o777 == 0o777
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "locks").iterdir()} == {0o666}


class Gpus:
    """Eight GPUs that are not there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, count: int = 8) -> None:
        self.current = None
        monkeypatch.setattr(devices, "LOCKS", folder)
        monkeypatch.setattr(devices, "_picked", [])
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "set_device", self.make_current)
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda gpu: SimpleNamespace(uuid=f"GPU-{gpu}")
        )
        for name in (devices.VISIBLE, devices.TAKEN, "LOCAL_RANK", "SLURM_JOB_ID"):
            monkeypatch.setenv(name, "")  # so that it is put back afterwards
            monkeypatch.delenv(name)

    def make_current(self, index: int) -> None:
        self.current = index


def test_a_process_picks_one_gpu_and_the_same_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gpus = Gpus(monkeypatch, tmp_path)
    assert devices.pick("auto") == devices.pick("cuda") == torch.device("cuda", 0)
    assert gpus.current == 0


def test_trainings_of_four_processes_share_no_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gpus = Gpus(monkeypatch, tmp_path)
    assert devices.take(4) == [0, 1, 2, 3]
    assert devices.take(4) == [4, 5, 6, 7]
    monkeypatch.setenv(devices.TAKEN, "4")
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert devices.pick("auto") == torch.device("cuda", 2)
    assert gpus.current == 2
    with pytest.raises(UserError, match="found 8 GPUs, expected one for each of 9 processes"):
        devices.take(9)


def test_the_launcher_shows_its_processes_the_gpus_that_it_took(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Gpus(monkeypatch, tmp_path, 3)
    monkeypatch.setenv(devices.VISIBLE, "7,5,6")
    devices.claim(["GPU-1"], tmp_path)  # another job's
    spec = importlib.util.spec_from_file_location("on_gpus", ROOT / "workflow/scripts/on_gpus.py")
    on_gpus = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(on_gpus)
    monkeypatch.setattr(sys, "argv", ["on_gpus.py", "2", "python", "-m", "launch"])
    found = []
    monkeypatch.setattr(
        os, "execvp", lambda *command: found.append((*command, os.environ[devices.VISIBLE]))
    )
    on_gpus.main()
    assert found == [("python", ["python", "-m", "launch"], "7,6")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0,-1,1", ["0"]),
        ("0,1,", ["0", "1"]),
        ("-1", []),
        ("", []),
        (" 2 , 3", ["2", "3"]),
        ("MIG-1a,GPU-1b", ["MIG-1a", "GPU-1b"]),
    ],
)
def test_visible_gpus_are_counted_as_cuda_does(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: list[str]
) -> None:
    monkeypatch.setenv(devices.VISIBLE, value)
    assert devices.visible() == expected
    profile = process_yaml((ROOT / "profiles" / "local" / "config.yaml").read_text())
    assert profile["resources"]["gpu"] == max(1, len(expected))


def test_of_several_mig_instances_a_free_one_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gpus = Gpus(monkeypatch, tmp_path, 1)
    monkeypatch.setenv(devices.VISIBLE, "MIG-a,MIG-b")
    devices.claim(["MIG-a"], tmp_path)  # another job's
    assert devices.pick("auto") == torch.device("cuda", 0)
    assert (gpus.current, os.environ[devices.VISIBLE]) == (0, "MIG-b")


def test_cpu_if_asked_for_or_if_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.pick("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert devices.pick("auto") == torch.device("cpu")
    with pytest.raises(UserError, match=r"forecast\.device: found 'cuda', but this machine has no"):
        devices.pick("cuda", "forecast.device")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_auto_takes_a_gpu_that_is_there_and_makes_it_the_current_one() -> None:
    device = devices.pick("auto")
    assert device.type == "cuda"
    assert torch.zeros(1, device="cuda").device == device
