"""What is known of the jobs of a run, and how far a job is by the end of its log."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

LOOK_SECONDS = 5  # between two looks for the log of a queued job: a network file system is slow
TAIL = 4096  # bytes of a log in which the last line about progress is looked for
BAR = re.compile(r"(?:^|[\r\n])([^\r\n|]*):[^\r\n|]*\|[^\r\n|]*\| *(\d+)/(\d+) \[[\d:]+<([\d:?]+)")
SAID = [
    re.compile(r"asked (\d+) of (\d+) dialogues, (\d+) s left"),
    re.compile(r"epoch (\d+)/(\d+) .*?, (\d+) s left"),
]
# Bars of reading and writing a model, which are over in seconds.
OF_FILES = ("weights", "shards")


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        done, of: steps, epochs or dialogues.
        left: seconds; None if it is not known yet.
    """

    done: int
    of: int
    left: int | None


@dataclass
class Job:
    """A job that was handed over.

    Attributes:
        number: Snakemake's.
        what: what it does, in words.
        logs: its log files.
        remote: whether it may wait in the queue of a cluster first.
        since: when it was handed over or, if `remote`, seen to run; seconds since the epoch.
    """

    number: int
    what: str
    logs: tuple[Path, ...]
    remote: bool = False
    since: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        """What lies there already is the log of an earlier run."""
        self._before = {log: _state(log) for log in self.logs}
        self._handed_over = self.since
        self._runs = not (self.remote and self.logs)
        self._looked = -inf

    @property
    def runs(self) -> bool:
        """Whether it runs: a job of a cluster does once it has opened its log.

        No queue is asked, so it holds for every cluster, and one that Slurm puts back into its
        queue still counts as running.
        """
        if not self._runs and time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            if any(map(self._is_own, self.logs)):
                self.since = time.time()
                self._runs = True
        return self._runs

    def tail(self, size: int = TAIL) -> str:
        """The end of the newest log that this job itself has written, or nothing."""
        for log in self.logs[::-1]:
            try:
                if not self._is_own(log):
                    continue
                with open(log, "rb") as file:
                    file.seek(max(0, log.stat().st_size - size))
                    return file.read().decode("utf-8", errors="replace")
            except OSError:
                continue
        return ""

    def _is_own(self, log: Path) -> bool:
        """Whether this job has opened it: it has changed, or was new when the job was told of."""
        now = _state(log)
        return now is not None and (now != self._before.get(log) or now[0] >= self._handed_over - 2)

    def progress(self) -> Progress | None:
        """How far it is, by the last line of its log that says so."""
        return progress_in(self.tail())


def _state(log: Path) -> tuple[float, int, int] | None:
    """When it was changed, its size and its number in the file system; None if it is not there."""
    try:
        found = log.stat()
    except OSError:
        return None
    return found.st_mtime, found.st_size, found.st_ino


def progress_in(text: str) -> Progress | None:
    """The last progress that the end of a log tells."""
    found: list[tuple[int, Progress]] = []
    for bar in BAR.finditer(text):
        if not bar[1].lower().endswith(OF_FILES):
            found.append((bar.start(), Progress(int(bar[2]), int(bar[3]), _seconds(bar[4]))))
    for pattern in SAID:
        for said in pattern.finditer(text):
            found.append((said.start(), Progress(*map(int, said.groups()))))
    return max(found, key=lambda entry: entry[0])[1] if found else None


def _seconds(shown: str) -> int | None:
    """Of hours, minutes and seconds as tqdm shows them."""
    if "?" in shown:
        return None
    total = 0
    for part in shown.split(":"):
        total = 60 * total + int(part)
    return total


@dataclass
class Jobs:
    """All jobs of a run.

    One thread changes them. Another may draw them at any time, from copies of the mappings that it
    takes at once. A lock would be held while a message is printed, which waits for the drawing.
    """

    total: int = 0
    done: int = 0
    handed_over: dict[int, Job] = field(default_factory=dict)
    failed: dict[int, Job] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def waiting(self) -> int:
        """Jobs that wait for others, or for a place."""
        return max(0, self.total - self.done - len(self.handed_over) - len(self.failed))

    def by_state(self) -> tuple[list[Job], list[Job], list[Job]]:
        """Those that run, are queued on a cluster, and failed."""
        running, queued = [], []
        for job in list(self.handed_over.values()):
            (running if job.runs else queued).append(job)
        return running, queued, list(self.failed.values())

    def begin(self, job: Job) -> None:
        """A job is handed over, or tried again."""
        self.failed.pop(job.number, None)
        self.handed_over[job.number] = job

    def finish(self, number: int) -> None:
        """A job is finished."""
        self.done += self.handed_over.pop(number, None) is not None

    def fail(self, number: int, what: str, logs: Iterable[str]) -> Job | None:
        """A job failed; None if that is known already."""
        if number in self.failed:
            return None
        named = tuple(map(Path, logs))
        job = self.handed_over.pop(number, None) or Job(number, what, named)
        job.logs = named or job.logs
        self.failed[number] = job
        return job
