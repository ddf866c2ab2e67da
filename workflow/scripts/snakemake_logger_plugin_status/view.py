"""The status of a run as lines: for a terminal, drawn again and again, or for a file."""

import time

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from .jobs import Job, Jobs, Progress

NAMED = 3  # running jobs that a plain line names


def view(jobs: Jobs, height: int) -> RenderableType:
    """The counts, a line for each running job, and one for each that failed."""
    running, _, failed = jobs.by_state()
    room = max(1, height - 3 - len(failed))
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for _ in range(2):
        table.add_column(no_wrap=True)
    for job in running[:room]:
        table.add_row(*_row(job))
    lines: list[RenderableType] = [Text(counts(jobs), style="bold"), table]
    if len(running) > room:
        lines.append(Text(f"  and {len(running) - room} more"))
    lines += [Text(f"  failed: {told(job)}", style="red") for job in failed]
    return Group(*lines)


def _row(job: Job) -> list[RenderableType]:
    progress = job.progress()
    if progress is None:
        passed = duration(time.time() - job.since)
        return [Spinner("line"), job.what, "", f"for {passed}"]
    bar = ProgressBar(progress.of, progress.done, width=20)
    return [Spinner("line"), job.what, bar, _how_far(progress)]


def line(jobs: Jobs) -> str:
    """The same in one line."""
    running, _, _ = jobs.by_state()
    named = [_named(job) for job in running[:NAMED]]
    more = [f"{len(running) - NAMED} more"] if len(running) > NAMED else []
    now = f": {'; '.join(named + more)}" if named else ""
    return counts(jobs) + now


def _named(job: Job) -> str:
    progress = job.progress()
    return job.what if progress is None else f"{job.what} ({_how_far(progress)})"


def counts(jobs: Jobs) -> str:
    """How many jobs are in which state, and for how long the whole has run."""
    passed = duration(time.monotonic() - jobs.started)
    running, queued, failed = jobs.by_state()
    in_queue = f" {len(queued)} in the cluster's queue," if queued else ""
    have_failed = f", {len(failed)} failed" if failed else ""
    return (
        f"{jobs.done} of {jobs.total} steps finished, {len(running)} running,{in_queue}"
        f" {jobs.waiting} waiting{have_failed}, {passed} so far"
    )


def told(job: Job) -> str:
    """A job that failed and where its log is."""
    return f"{job.what}; log: {', '.join(map(str, job.logs)) or 'none'}"


def _how_far(progress: Progress) -> str:
    left = "" if progress.left is None else f", {duration(progress.left)} left"
    return f"{progress.done} of {progress.of}{left}"


def duration(seconds: float) -> str:
    """Seconds for a reader: 42 s, 7 min, 3 h 05 min."""
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
