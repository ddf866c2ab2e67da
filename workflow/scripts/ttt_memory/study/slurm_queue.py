"""Jobs that Slurm keeps in its queue for a reason that no waiting ends: each is told once."""

import re
import shlex
from collections.abc import Awaitable, Callable
from typing import Any

# By the ids of jobs what was asked of them, and the seconds of the query; None and None without an
# answer.
Answer = tuple[dict[str, str] | None, float | None]
Query = Callable[[str, Any], Awaitable[Answer]]
# Reasons of `squeue` that other jobs' ends do not change. A limit for a user or a group is no such
# reason.
FOR_GOOD = re.compile(
    r"Partition(TimeLimit|NodeLimit)|(QOS|Assoc)M(ax|in)\w*Per(Job|Node)(Limit)?|QOSMin\w*"
    r"|BadConstraints|Invalid(Account|QOS)|(Account|QOS)NotAllowed|DependencyNeverSatisfied"
    r"|JobHeld(User|Admin)|JobHoldMaxRequeue"
)


def telling(query: Query) -> Query:
    """`query` for the states of jobs, which also warns of those that would wait forever."""
    told: set[str] = set()

    async def asked(command: str, logger: Any) -> Answer:
        states, seconds = await query(command, logger)
        if states and "PENDING" in states.values():
            reasons, _ = await query(why_they_wait(command), logger)
            for job, reason in (reasons or {}).items():
                if FOR_GOOD.fullmatch(reason) and job not in told:
                    told.add(job)
                    logger.warning(
                        f"Slurm will not start job {job}: {reason}. It waits until `scancel {job}`;"
                        " expected what the partition, account and QOS allow"
                        " (resources.most_runtime, resources.most_mem_mb, profiles/slurm)."
                    )
        return states, seconds

    return asked


def why_they_wait(command: str) -> str:
    """The question why jobs wait, for those that `command` of Snakemake's plugin asks about."""
    words = shlex.split(command)
    run = words[words.index("--name") + 1]
    return shlex.join(["squeue", "--noheader", "--states=PENDING", "--format=%i|%r", "--name", run])
