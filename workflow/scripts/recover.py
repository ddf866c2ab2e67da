"""After Snakemake was killed: cancel the jobs that it left on Slurm, and lift its locks.

python workflow/scripts/recover.py --configfile config/smoke.yaml

The arguments are those that Snakemake had. A study with another results folder is left alone.
"""

import sys

from ttt_memory import errors
from ttt_memory.study import recovery


def main() -> None:
    """Cancel and lift, and say how many."""
    results = recovery.results_of(sys.argv[1:])
    # In this order: a job that still runs would write the same files as the one started again.
    jobs, locks = recovery.cancel_jobs(results), recovery.lift_locks(results)
    print(f"{results}: {len(jobs)} jobs cancelled, {len(locks)} locks lifted")


if __name__ == "__main__":
    errors.run(main)
