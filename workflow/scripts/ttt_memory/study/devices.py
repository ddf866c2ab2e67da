"""Which device a job computes on: jobs that run side by side take different GPUs."""

import fcntl
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import torch

from ..errors import UserError

# Open for as long as the process lives: the system lifts its locks when it ends, however it does.
_held: list[IO[str]] = []


def pick(name: str, key: str = "device") -> torch.device:
    """The device for `name`: cpu; cuda; or auto, a GPU where there is one. `key` is for messages.

    Of several GPUs it is one that no other job of this user has, and from then on torch's current
    one. A scheduler that shows a job only the GPU meant for it is thereby obeyed.

    Raises:
        UserError: cuda is asked for and there is none.
    """
    count = torch.cuda.device_count() if name != "cpu" else 0
    if name == "cuda" and not count:
        raise UserError(f"{key}: found 'cuda', but this machine has no usable GPU")
    if not count:
        return torch.device("cpu")
    index = 0
    if count > 1:
        # By identity: two jobs may be shown the same GPUs in another order.
        gpus = [str(torch.cuda.get_device_properties(gpu).uuid) for gpu in range(count)]
        index = claim(gpus, Path(tempfile.gettempdir(), f"ttt-memory-gpus-{os.getuid()}"))
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def claim(gpus: Sequence[str], folder: Path) -> int:
    """Index of the first of `gpus` whose file in `folder` this process could lock.

    How many jobs run at once is Snakemake's to say: where there are more of them than GPUs, they
    share one rather than wait.
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
