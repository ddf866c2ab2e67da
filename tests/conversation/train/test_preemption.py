"""A training that SIGTERM ends resumes in another process with exactly the same losses."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from clone import ROOT

STEPS = 60
# Its argument is the file for the losses. TTT_CHECKPOINTS, if set, is the folder of checkpoints.
TRAINING = f"""
import json, os, sys
from trained_runs import losses, trained
checkpoints = os.environ.get("TTT_CHECKPOINTS")
rows = trained(checkpoints, steps={STEPS}, checkpoint_every=4, workers=1)[1]
open(sys.argv[1], "w").write(json.dumps(losses(rows)))
"""


def start(losses: Path, checkpoints: Path | None = None) -> subprocess.Popen[str]:
    paths = [str(ROOT / "tests" / "helpers"), str(ROOT / "workflow" / "scripts")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    if checkpoints:
        environment["TTT_CHECKPOINTS"] = str(checkpoints)
    return subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(losses)],
        env=environment,
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
    whole = tmp_path / "whole.json"
    assert start(whole).wait() == 0
    assert json.loads(found.read_text()) == json.loads(whole.read_text())
