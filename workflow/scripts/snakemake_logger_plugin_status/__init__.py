"""One status view for a run of Snakemake: `--logger status`.

    PYTHONPATH=workflow/scripts snakemake --logger status --profile local

It says how many jobs are finished and waiting, how many are in a cluster's queue, how far each
running one is by the end of its log, and which failed, with the log's path. Two trainings at once
have a line each: what jobs print is in their logs alone. In a terminal the view is drawn anew;
elsewhere it is a line a minute.

Snakemake finds a logger by the name of its package, on PYTHONPATH.
"""

import os
import sys
import threading
from dataclasses import dataclass, field
from logging import LogRecord
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from .jobs import Job, Jobs
from .view import line, told, view

DRAWN_PER_SECOND = 2
# The last lines of a failed job's log that are shown, and the bytes that they are looked for in.
LOG_LINES, LOG_BYTES = 20, 64 * 1024
# What the view says by itself, or needs no saying.
NOT_SAID = {
    LogEvent.JOB_INFO,
    LogEvent.JOB_STARTED,
    LogEvent.JOB_FINISHED,
    LogEvent.JOB_ERROR,
    LogEvent.GROUP_INFO,
    LogEvent.GROUP_ERROR,
    LogEvent.PROGRESS,
    LogEvent.RESOURCES_INFO,
    LogEvent.RUN_INFO,
}
SELECTING = "Select jobs to execute..."


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Options of the command line: `--logger-status-...`."""

    seconds: int = field(
        default=60,
        metadata={"help": "Seconds between two lines where the output is no terminal."},
    )


class LogHandler(LogHandlerBase):
    """Keeps what is known of the jobs, and shows it."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Nothing is shown before the jobs are known."""
        settings = self.common_settings
        stream = sys.stdout if settings.stdout else sys.stderr
        self.console = Console(file=stream, no_color=settings.nocolor or None, highlight=False)
        self.drawn = stream.isatty() and os.environ.get("TERM") != "dumb"
        self.jobs: Jobs | None = None
        self.live: Live | None = None
        self.hidden: int | None = None
        self.over = threading.Event()

    def emit(self, record: LogRecord) -> None:
        """Take note of what happens to jobs; say everything else."""
        event = getattr(record, "event", None)
        try:
            if self.common_settings.dryrun:
                self._say(self.format(record))
                return
            self._note(event, record)
            if event not in NOT_SAID and record.getMessage() != SELECTING:
                self._say(self.format(record))
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Draw the view a last time, and give the output back."""
        self.over.set()
        if self.live is not None:
            self.live.stop()
            self.live = None
        elif self.jobs is not None and not self.drawn:
            self._say(line(self.jobs))
        self.jobs = None
        if self.hidden is not None:
            os.dup2(self.hidden, 1)
            os.close(self.hidden)
            self.hidden = None
        super().close()

    def _note(self, event: LogEvent | None, record: LogRecord) -> None:
        if event == LogEvent.RUN_INFO:
            self._begin(int(record.stats["total"]))
        elif self.jobs is None:
            return
        elif event == LogEvent.JOB_INFO:
            what, logs = record.rule_msg or record.rule_name, tuple(map(Path, record.log or ()))
            self.jobs.begin(Job(record.jobid, what, logs, remote=not record.local))
        elif event == LogEvent.JOB_FINISHED:
            self.jobs.finish(record.job_id)
        elif event == LogEvent.PROGRESS:
            # A checkpoint rule may have added jobs.
            self.jobs.total = record.total
        elif event == LogEvent.JOB_ERROR:
            job = self.jobs.fail(record.jobid, record.rule_name, record.log or ())
            if job is not None:
                self._say_failed(job)

    def _begin(self, total: int) -> None:
        self.jobs = Jobs(total)
        # Jobs print their bars into their logs, and onto this output, one over the other.
        sys.stdout.flush()
        self.hidden = os.dup(1)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
        if self.drawn:
            self.live = Live(
                console=self.console,
                get_renderable=self._drawn,
                refresh_per_second=DRAWN_PER_SECOND,
                redirect_stdout=False,
                redirect_stderr=True,  # of hooks of the workflow; the console has the stream itself
            )
            self.live.start()
        else:
            self._say(line(self.jobs))
            threading.Thread(target=self._now_and_then, daemon=True).start()

    def _drawn(self) -> object:
        """The view, for the thread that draws it; see `Jobs` for why no lock is taken."""
        jobs = self.jobs
        return view(jobs, self.console.height) if jobs else Text()

    def _now_and_then(self) -> None:
        while not self.over.wait(self.settings.seconds):
            if jobs := self.jobs:
                self._say(line(jobs))

    def _say_failed(self, job: Job) -> None:
        self._say(f"failed: {told(job)}")
        # Of a bar that was drawn again and again, the last is enough.
        said = [text.rsplit("\r", 1)[-1] for text in job.tail(LOG_BYTES).split("\n")]
        for text in [text for text in said if text.strip()][-LOG_LINES:]:
            self._say(f"    {text}")

    def _say(self, text: str) -> None:
        if text:
            self.console.print(Text(text), soft_wrap=True)
