"""What is known of the jobs of a run, and how far a job is by the end of its log."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

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


@dataclass(frozen=True)
class Job:
    """A job that was begun.

    Attributes:
        number: Snakemake's.
        what: what it does, in words.
        logs: its log files.
        since: when it began, seconds since the epoch.
    """

    number: int
    what: str
    logs: tuple[Path, ...]
    since: float = field(default_factory=time.time)

    def tail(self, size: int = TAIL) -> str:
        """The end of the newest log that this job itself has written, or nothing."""
        for log in self.logs[::-1]:
            try:
                # One of an earlier run stands there until the job begins to write.
                if log.stat().st_mtime < self.since - 2:
                    continue
                with open(log, "rb") as file:
                    file.seek(max(0, log.stat().st_size - size))
                    return file.read().decode("utf-8", errors="replace")
            except OSError:
                continue
        return ""

    def progress(self) -> Progress | None:
        """How far it is, by the last line of its log that says so."""
        return progress_in(self.tail())


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
    running: dict[int, Job] = field(default_factory=dict)
    failed: dict[int, Job] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def waiting(self) -> int:
        """Jobs that have not begun."""
        return max(0, self.total - self.done - len(self.running) - len(self.failed))

    def begin(self, job: Job) -> None:
        """A job begins, or is tried again."""
        self.failed.pop(job.number, None)
        self.running[job.number] = job

    def finish(self, number: int) -> None:
        """A job is finished."""
        self.done += self.running.pop(number, None) is not None

    def fail(self, number: int, what: str, logs: Iterable[str]) -> Job | None:
        """A job failed; None if that is known already."""
        if number in self.failed:
            return None
        begun = self.running.pop(number, None)
        named = tuple(map(Path, logs)) or (begun.logs if begun else ())
        since = {"since": begun.since} if begun else {}
        self.failed[number] = Job(number, begun.what if begun else what, named, **since)
        return self.failed[number]
