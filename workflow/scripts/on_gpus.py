"""Run a command that starts several processes on GPUs that no other job has taken.

python workflow/scripts/on_gpus.py 4 python -m accelerate.commands.launch ...

The launcher numbers the GPUs that it sees from 0. So it is shown those that were taken, and no
others. Without a GPU the command runs as it is.
"""

import os
import sys

from ttt_memory.errors import run
from ttt_memory.study import devices


def main() -> None:
    """Take as many GPUs as the first argument says, then become the command behind it."""
    count, *command = sys.argv[1:]
    if devices.gpu_count():
        before = devices.visible()
        taken = devices.take(int(count))
        shown = [before[index] if before else str(index) for index in taken]
        os.environ |= {devices.VISIBLE: ",".join(shown), devices.TAKEN: count}
    os.execvp(command[0], command)


if __name__ == "__main__":
    run(main)
