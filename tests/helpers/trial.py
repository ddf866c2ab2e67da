"""One training on Slurm that a test breaks in its midst and sees through to its end."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from clone import Clone
from cluster import Job, wait_for
from small_study import Study, contents

RUN = Path("results/tiny/runs/write-drop-read/0")
CHECKPOINTS = Path("results/tiny/checkpoints/write-drop-read")
# Patience for one attempt, on a machine that is busy with something else.
ATTEMPT = 1200


class Trial:
    """A training that starts from nothing, in a copy where all that it needs is there."""

    def __init__(self, study: Study, local: Clone):
        self.study, self.cluster, self.local = study, study.cluster, local
        self.folder = study.clone.path
        for made in (CHECKPOINTS, RUN / "model"):
            shutil.rmtree(self.folder / made, ignore_errors=True)
        (self.folder / RUN / "curve.parquet").unlink(missing_ok=True)
        self.before = {job.id for job in self.cluster.jobs()}
        self.snakemake: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        """Start Snakemake on the training."""
        self.snakemake = self.study.start(*arguments, "--", str(RUN / "curve.parquet"))

    def hold(self) -> int:
        """Stop the training process once it has written a checkpoint; its id.

        A stopped process cannot end before it is broken, however fast the machine.
        """
        wait_for(self._checkpoint, "a checkpoint", ATTEMPT)
        process = wait_for(self._process, "the training process")
        os.kill(process, signal.SIGSTOP)
        return process

    def finish(self) -> float:
        """Wait until Snakemake ends well with the local run's results; seconds that took."""
        began = time.monotonic()
        assert self.snakemake.wait(ATTEMPT) == 0, self.study.said()[-8000:]
        expected, found = contents(self.local.path / RUN), contents(self.folder / RUN)
        made = [name for name in expected if name.startswith(("model/", "curve"))]
        assert made
        assert [name for name in made if found.get(name) != expected[name]] == []
        return time.monotonic() - began

    def end(self) -> None:
        """Leave nothing running."""
        if self.snakemake and self.snakemake.poll() is None:
            self.snakemake.kill()
            self.snakemake.wait()
            self.cluster.run("scancel", "--user=root")

    def jobs(self) -> list[Job]:
        """What Slurm wrote down of this training's attempts."""
        made = [job for job in self.cluster.jobs() if job.id not in self.before]
        return [job for job in made if job.rule == "train"]

    def log(self, job: Job) -> str:
        """All that a job said."""
        return next(self.folder.glob(f"logs/slurm/**/{job.id}.log")).read_text()

    def stopped_at(self, job: Job) -> int:
        """The step after which SIGTERM ended a job."""
        return int(re.search(r"SIGTERM after step (\d+)", self.log(job))[1])

    def resumed_at(self, job: Job) -> int:
        """The step that a job began with: the first that its progress bar shows."""
        return int(re.search(r"write-drop-read seed 0: [^\r\n]*?(\d+)/\d+ \[", self.log(job))[1])

    def _checkpoint(self) -> list[Path]:
        return list((self.folder / CHECKPOINTS).glob("*/*/step-*/curve.json"))

    def _process(self) -> int | None:
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                here = (entry / "cwd").resolve() == self.folder
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if here and words[0].endswith(b"python") and b"workflow/scripts/train.py" in words:
                return int(entry.name)
        return None
