"""Slurm stops to answer for a while: its jobs go on, and Snakemake asks again until it answers.

Snakemake's plugin (2.8.0) asks `sacct` or `squeue` a few times. If none of them is answered, it
loses sight of every job that runs, and waits for them forever
(snakemake-executor-plugin-slurm#207, #331). No setting prevents it: while slurmctld is away, the
plugin turns from `squeue` to `sacct`, which has nothing to say where there is no accounting.
"""

import sys
from typing import Any

from .slurm_queue import Answer, Query, telling

PLUGIN = "snakemake_executor_plugin_slurm"


def outlast() -> None:
    """Let the plugin keep its jobs when Slurm does not answer; nothing without the plugin.

    It also warns of jobs that Slurm will never start.
    """
    plugin = sys.modules.get(PLUGIN)
    if plugin and not hasattr(plugin.query_job_status, "asked"):
        plugin.query_job_status = patient(telling(plugin.query_job_status))


def patient(query: Query) -> Query:
    """`query`, whose missing answer says nothing about any job, instead of being none.

    Jobs of which an answer says nothing are asked for again.
    """

    async def asked(command: str, logger: Any) -> Answer:
        states, seconds = await query(command, logger)
        if states is not None:
            return states, seconds
        logger.warning(f"Slurm does not answer `{command.split()[0]}`. Jobs go on; asking again.")
        return {}, 0.0

    asked.asked = query
    return asked
