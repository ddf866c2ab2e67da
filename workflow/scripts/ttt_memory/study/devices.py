"""The device that a job computes on. Jobs that run at the same time take different GPUs."""

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import torch

from ..errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"
# Set for the processes of a job whose GPUs are taken already (`take`).
TAKEN = "TTT_GPUS_TAKEN"
POLL_SECONDS = 0.5
# The same for all users of a machine.
LOCKS = Path(tempfile.gettempdir(), "ttt-memory-gpus")

# The files stay open until the process ends. Then the system removes their locks in any case.
_held: list[IO[str]] = []
# What this process has picked: it would wait forever for itself.
_picked: list[int] = []


def pick(name: str, key: str = "device") -> torch.device:
    """The device for `name`: cpu, cuda, or auto, which is a GPU if there is one.

    It is a GPU that no other job on this machine has taken; if all are taken, the job waits for
    one. It becomes torch's current device. Only the GPUs that the scheduler shows to this job are
    considered. `key` is the configuration key for the message.

    Raises:
        UserError: cuda is asked for, but there is no GPU.
    """
    count = 0 if name == "cpu" else gpu_count()
    if name == "cuda" and not count:
        raise UserError(f"{key}: found 'cuda', but this machine has no usable GPU")
    if not count:
        return torch.device("cpu")
    if TAKEN in os.environ:
        index = int(os.environ.get("LOCAL_RANK", 0))
    else:
        _picked[:] = _picked or take(1)
        (index,) = _picked
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def gpu_count() -> int:
    """Number of GPUs that this process can use."""
    # CUDA shows a process one MIG instance, however many are named.
    return 1 if len(_named_instances()) > 1 else torch.cuda.device_count()


def take(count: int) -> list[int]:
    """Take `count` of the visible GPUs for this process, and return their indices.

    A job of Slurm has GPUs of its own, so there is nothing to wait for.

    Raises:
        UserError: there are fewer.
    """
    if instances := _named_instances():
        if count > 1:
            raise UserError(f"{VISIBLE}: found MIG instances, expected GPUs for {count} processes")
        # To be chosen before CUDA looks, which takes the first.
        (place,) = claim(instances, LOCKS)
        os.environ[VISIBLE] = instances[place]
        return [0]
    found = torch.cuda.device_count()
    if count > found:
        raise UserError(f"found {found} GPUs, expected one for each of {count} processes")
    if "SLURM_JOB_ID" in os.environ and count == found:
        return list(range(count))
    # By their identity, because two jobs may see the same GPUs in different order.
    gpus = [str(torch.cuda.get_device_properties(gpu).uuid) for gpu in range(found)]
    return claim(gpus, LOCKS, count)


def _named_instances() -> list[str]:
    """The MIG instances that the environment names."""
    return [gpu for gpu in visible() or [] if gpu.startswith("MIG")]


def visible() -> list[str] | None:
    """What `CUDA_VISIBLE_DEVICES` shows, as CUDA reads it: nothing behind a -1. None: all."""
    value = os.environ.get(VISIBLE)
    if value is None:
        return None
    shown = ("," + value.replace(" ", "")).split(",-1")[0]
    return [gpu for gpu in shown.split(",") if gpu]


def claim(gpus: Sequence[str], folder: Path, count: int = 1) -> list[int]:
    """The indices of `count` of `gpus`, whose files in `folder` this process locks.

    If fewer are free, it waits until the jobs that hold them end.
    """
    told = False
    while True:
        files = [_locked(folder / gpu) for gpu in gpus]
        free = [index for index, file in enumerate(files) if file]
        chosen = free[:count] if len(free) >= count else []
        for index in free:
            if index in chosen:
                _held.append(files[index])
            else:
                files[index].close()
        if chosen:
            return chosen
        if not told:
            text = f"other jobs have taken {len(gpus) - len(free)} of {len(gpus)} GPUs: waiting"
            print(text, file=sys.stderr, flush=True)
            told = True
        time.sleep(POLL_SECONDS)


def _locked(path: Path) -> IO[str] | None:
    """The open file `path`, locked; None if another process has locked it."""
    before = os.umask(0)  # other users lock the same files
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    finally:
        os.umask(before)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    # A program that takes the place of this one keeps the lock.
    os.set_inheritable(file.fileno(), True)
    return file
