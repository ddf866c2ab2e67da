"""The device that a job computes on. Jobs that run at the same time take different GPUs."""

import fcntl
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import torch

from ..errors import UserError

# The files stay open until the process ends. Then the system removes their locks in any case.
_held: list[IO[str]] = []


def pick(name: str, key: str = "device") -> torch.device:
    """The device for `name`: cpu, cuda, or auto, which is a GPU if there is one.

    Of several GPUs it is one that no other job of this user has taken. It becomes torch's current
    device. Only the GPUs that the scheduler shows to this job are considered. `key` is the
    configuration key for the message.

    Raises:
        UserError: cuda is asked for, but there is no GPU.
    """
    count = torch.cuda.device_count() if name != "cpu" else 0
    if name == "cuda" and not count:
        raise UserError(f"{key}: found 'cuda', but this machine has no usable GPU")
    if not count:
        return torch.device("cpu")
    index = 0
    if count > 1:
        # By their identity, because two jobs may see the same GPUs in different order.
        gpus = [str(torch.cuda.get_device_properties(gpu).uuid) for gpu in range(count)]
        index = claim(gpus, Path(tempfile.gettempdir(), f"ttt-memory-gpus-{os.getuid()}"))
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def claim(gpus: Sequence[str], folder: Path) -> int:
    """The index of the first of `gpus` whose file in `folder` this process can lock.

    If all are locked, it is one of them: Snakemake decides how many jobs run at once, and with more
    jobs than GPUs some jobs share a GPU.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for index, gpu in enumerate(gpus):
        file = (folder / gpu).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            _held.append(file)
            return index
    return os.getpid() % len(gpus)
