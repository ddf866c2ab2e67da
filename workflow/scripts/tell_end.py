"""Tell how a run of Snakemake ended, in three lines: verdict, report, and how to chat.

python workflow/scripts/tell_end.py --status 0 --configfile config/smoke.yaml

Behind `--status`, Snakemake's exit status, stand the arguments that Snakemake had.
"""

import sys
from pathlib import Path

from ttt_memory import errors
from ttt_memory.errors import UserError
from ttt_memory.study import ending, recovery


def main() -> None:
    """Read the arguments, print the lines."""
    if len(sys.argv) < 3 or sys.argv[1] != "--status" or not sys.argv[2].isdigit():
        raise UserError("expected --status and a number, then the arguments of Snakemake")
    status, arguments = int(sys.argv[2]), sys.argv[3:]
    if ending.is_run(arguments):
        folder = recovery.results_of(arguments)
        here = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
        print(*ending.lines(here, status != 0), sep="\n")


if __name__ == "__main__":
    errors.run(main)
