"""Check the presets that a command line of Snakemake names, before Snakemake reads them.

python workflow/scripts/check_presets.py --configfile config/smoke.yaml

Snakemake reads presets before the workflow, and does not say which file is wrong.
"""

import sys

from ttt_memory import errors
from ttt_memory.study import command_line


def main() -> None:
    """Check the arguments, which are those of Snakemake."""
    arguments = sys.argv[1:]
    command_line.require_once(arguments)
    command_line.require_presets(arguments)


if __name__ == "__main__":
    errors.run(main)
