"""A program in a terminal of its own: what it writes there, and what is typed."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\x1b\][^\x07]*\x07")
WHERE = b"\x1b[6n"  # a program asks where the cursor is
ROWS, COLUMNS = 40, 120


class Terminal:
    """A process whose input and output are a terminal."""

    def __init__(self, command: Sequence[str], cwd: Path, **environment: str) -> None:
        self.own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self.process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=kept | {"TERM": "xterm-256color"} | environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.written = ""

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.own, keys.encode())

    def until(self, pattern: str, seconds: float = 300) -> str:
        """Wait until the pattern is written; all that is new up to its end, escapes included."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.written)):
            if time.monotonic() > end or not self._read(end - time.monotonic()):
                raise AssertionError(f"{pattern!r} is not in {self.written!r}")
        new, self.written = self.written[: found.end()], self.written[found.end() :]
        return new

    def rest(self, seconds: float = 300) -> str:
        """All that is written until the process ends."""
        end = time.monotonic() + seconds
        while self._read(end - time.monotonic()):
            pass
        self.process.wait(timeout=max(1, end - time.monotonic()))
        return self.written

    def close(self) -> None:
        """End the process, if it has not ended."""
        self.process.kill()
        self.process.wait()
        os.close(self.own)

    def _read(self, seconds: float) -> bool:
        """Read what comes next; whether anything came before the time was over or the end."""
        if not select.select([self.own], [], [], max(0, seconds))[0]:
            return False
        try:
            data = os.read(self.own, 65536)
        except OSError:  # the other end is closed
            return False
        if WHERE in data:
            os.write(self.own, b"\x1b[1;1R")
        self.written += data.decode("utf-8", errors="replace")
        return bool(data)


def plain(text: str) -> str:
    """What was written, without escapes."""
    return ESCAPE.sub("", text)
