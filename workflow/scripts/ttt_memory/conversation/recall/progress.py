"""What a job has asked so far, in a file: a job that is cut off goes on from there."""

import json
import time
from collections.abc import Iterable
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import TextIO

from ... import io


class Progress:
    """The rows of the episodes that are asked, kept by the number of the episode.

    The file holds a line for what was asked of, then a line for each batch. A line that was being
    written when the job ended is not read, nor is a file about something else.

    Attributes:
        rows: what was asked, those of earlier jobs too.
        done: the numbers of these episodes.
    """

    def __init__(self, path: str | Path | None = None, about: str = "") -> None:
        """Read what stands in the file `path`, if it is `about` the same; None keeps no file."""
        self.path = None if path is None else Path(path)
        self.about, self.rows, self.done = about, [], set()
        self._file: TextIO | None = None
        self._started, self._asked = time.monotonic(), 0
        kept = self._read()
        for numbers, rows in kept:
            self.done.update(numbers)
            self.rows += rows
        if self.path is not None:
            self._begin(kept)

    def _read(self) -> list[tuple[list[int], list[dict]]]:
        if self.path is None or not self.path.is_file():
            return []
        first, *lines = self.path.read_bytes().split(b"\n")
        if first != self.about.encode():
            return []
        # What follows the last line end was cut off.
        return [json.loads(line) for line in lines[:-1]]

    def _begin(self, kept: list[tuple[list[int], list[dict]]]) -> None:
        """Write anew what was read, so that nothing stands behind it, and keep the file open."""
        with io.beside(self.path) as temporary:
            lines = [self.about, *map(json.dumps, kept)]
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        with io.writable(self.path.parent):
            self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115

    def add(self, numbers: Iterable[int], rows: list[dict], of: int) -> None:
        """Keep the rows of a batch of episodes.

        With a file, also print how far `of` all episodes that is.
        """
        numbers = list(numbers)
        self.rows += rows
        self.done.update(numbers)
        self._asked += len(numbers)
        if not self._file:
            return
        with io.writable(self.path.parent):
            self._file.write(json.dumps((numbers, rows)) + "\n")
            self._file.flush()
        left = (time.monotonic() - self._started) / self._asked * (of - len(self.done))
        print(f"asked {len(self.done)} of {of} dialogues, {left:.0f} s left", flush=True)

    def end(self) -> None:
        """Remove the file: the predictions are written."""
        if self._file:
            self._file.close()
            self.path.unlink()


def digest(*paths: str | Path) -> str:
    """Digits that identify the contents of files and of all files in folders."""
    found = blake2b(digest_size=16)
    for path in map(Path, paths):
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in filter(Path.is_file, inside):
            with open(file, "rb") as source:
                found.update(file_digest(source, "blake2b").digest())
    return found.hexdigest()
