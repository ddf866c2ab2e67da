"""A training that SIGTERM ends resumes in another process with exactly the same losses."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from clone import ROOT
from trained_runs import losses, trained

STEPS = 24
# Its arguments are the file for the losses and the folder of checkpoints.
TRAINING = f"""
import json, sys
from trained_runs import losses, trained
rows = trained(sys.argv[2], steps={STEPS}, checkpoint_every=4, workers=1)[1]
open(sys.argv[1], "w").write(json.dumps(losses(rows)))
"""


def start(found: Path, checkpoints: Path) -> subprocess.Popen[str]:
    paths = [str(ROOT / "tests" / "helpers"), str(ROOT / "workflow" / "scripts")]
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(found), str(checkpoints)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def steps_of(checkpoints: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in checkpoints.glob("step-*"))


def test_sigterm_writes_a_checkpoint_and_the_losses_continue_exactly(tmp_path: Path) -> None:
    checkpoints, found = tmp_path / "checkpoints", tmp_path / "found.json"
    training = start(found, checkpoints)
    while not steps_of(checkpoints):
        assert training.poll() is None, training.communicate()[1]
        time.sleep(0.01)
    # Like Slurm, also to the worker process that makes batches.
    os.killpg(training.pid, signal.SIGTERM)
    said = training.communicate()[1]
    assert training.returncode == 128 + signal.SIGTERM, said
    stopped = int(re.search(r"SIGTERM after step (\d+); goes on from", said)[1])
    assert steps_of(checkpoints)[-1] == stopped < STEPS
    assert not found.exists()

    resumed = start(found, checkpoints)
    said = resumed.communicate()[1]
    assert resumed.returncode == 0, said
    torch.set_num_threads(1)  # as in the other process: sums of several threads round otherwise
    rows = trained(None, steps=STEPS, checkpoint_every=4, workers=1)[1]
    assert json.loads(found.read_text()) == losses(rows)
