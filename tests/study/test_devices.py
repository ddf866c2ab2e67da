"""Jobs that run at the same time take different GPUs. Without a GPU they use the CPU."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clone import ROOT
from ttt_memory.errors import UserError
from ttt_memory.study import devices

GPUS = ["GPU-a", "GPU-b"]
HOLD = """
import sys
from pathlib import Path
from ttt_memory.study.devices import claim
print(claim(sys.argv[2:], Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def holder(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A process that has taken a GPU, and the number of this GPU."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), *GPUS],
        cwd=ROOT / "workflow" / "scripts",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, int(process.stdout.readline())


def test_jobs_take_different_gpus_and_give_them_back_when_killed(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    first, taken = holder(folder)
    second, other = holder(folder)
    try:
        assert (taken, other) == (0, 1)
        # A third process shares one of them.
        assert devices.claim(GPUS, folder) in (0, 1)
        second.kill()
        second.wait()
        assert devices.claim(GPUS, folder) == 1
        assert devices.claim(GPUS[::-1], tmp_path / "own") == 0
    finally:
        for process in (first, second):
            process.kill()
            process.wait()


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
