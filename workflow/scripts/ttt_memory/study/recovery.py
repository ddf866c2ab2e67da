"""What a killed Snakemake leaves: jobs on Slurm, and locks.

Several studies may share one folder. They are told apart by the folder of their results.
"""

import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .. import options
from ..errors import UserError
from .command_line import values

LOCKS = Path(".snakemake", "locks")
POLL_SECONDS = 1


def results_of(arguments: Sequence[str]) -> Path:
    """The results folder of a command line of Snakemake, in this working directory."""
    folder = "results"
    for file in ("config.yaml", *values(arguments, "--configfile")):
        folder = options.read(file).get("results", folder)
    for entry in values(arguments, "--config"):
        key, _, value = entry.partition("=")
        folder = value if key == "results" else folder
    return Path(folder).absolute()


def cancel_jobs(results: Path) -> list[str]:
    """Cancel the Slurm jobs of this working directory and `results`; wait until they are gone.

    Raises:
        UserError: Slurm does not answer, so that it is not known which jobs run.
    """
    if not shutil.which("squeue"):
        return []
    left = [job for job in _jobs_here() if _makes(job, results)]
    if left:
        _said("scancel", *left)
    while set(left).intersection(_jobs_here()):
        time.sleep(POLL_SECONDS)
    return left


def lift_locks(results: Path) -> list[Path]:
    """Remove Snakemake's locks that name a file of the study in `results`."""
    lifted = []
    for lock in sorted(LOCKS.glob("*.lock")):
        files = lock.read_text(encoding="utf-8").splitlines()
        if any(_study_of(Path(file).absolute()) == results for file in files):
            lock.unlink()
            lifted.append(lock)
    return lifted


def _study_of(file: Path) -> Path | None:
    """The results folder that `file` lies in: the nearest one that holds logs.

    The default study's folder, `results`, holds those of the presets.
    """
    return next((folder for folder in file.parents if (folder / "logs").is_dir()), None)


def _jobs_here() -> Iterator[str]:
    """The ids of the user's jobs whose working directory is this one."""
    command = ["squeue", "--me", "--noheader", "--format", "%i %Z"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise UserError(
            f"squeue: found no answer of Slurm ({asked.stderr.strip()}), expected the jobs that are"
            " left: without them no lock is lifted, since one that runs on would write the same"
            " files; try again when Slurm answers"
        )
    for line in asked.stdout.splitlines():
        job, folder = line.split(maxsplit=1)
        if Path(folder) == Path.cwd():
            yield job


def _makes(job: str, results: Path) -> bool:
    """Whether a job is a part of the study in `results`: its script starts Snakemake so."""
    script = _said("scontrol", "write", "batch_script", job, "-")
    lines = [line for line in script.splitlines() if not line.startswith("#")]
    # Jobs that are not Snakemake's have other scripts, or none.
    return "--target-jobs" in script and results_of(shlex.split("\n".join(lines))) == results


def _said(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
