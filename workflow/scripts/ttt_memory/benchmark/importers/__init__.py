"""Benchmarks and conversations of others: one module per layout.

A new layout is a module with `read(path, builder)`, which adds samples to the builder, one line in
LAYOUTS, its sign in `layouts.SIGNS`, and its name in `config.Layout`.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ..files import check_integrity, read_benchmark
from ..sample import Sample
from . import babi, conversations_jsonl, locomo, longmemeval
from .building import Builder, Granularity
from .layouts import check_layout
from .published_json import read_published

READERS = {".json": read_published, ".parquet": read_benchmark}


def _as_it_is(reader: Callable[[Path], list[Sample]]) -> Callable[[Path, Builder], None]:
    """A reader of benchmarks, whose samples are taken over as they are."""
    return lambda path, builder: builder.samples.extend(reader(path))


LAYOUTS: dict[str, Callable[[Path, Builder], None]] = {
    "jsonl": conversations_jsonl.read,
    "locomo": locomo.read,
    "babi": babi.read,
    "longmemeval": longmemeval.read,
    "published": _as_it_is(read_published),
    "parquet": _as_it_is(read_benchmark),
}


@dataclass(frozen=True)
class Imported:
    """The samples of files, and how often something was found, mended or left out, by name."""

    samples: list[Sample]
    counts: dict[str, int]


def read_conversations(
    layout: str,
    files: Iterable[str | Path],
    granularity: Granularity = "evidence_session",
    verbatim: bool = False,
    characters: int | None = None,
    at_most: int | None = None,
) -> Imported:
    """The samples of `files`, which have the layout of that name.

    Args:
        layout: one of LAYOUTS.
        files: the paths.
        granularity: as of `Builder`.
        verbatim: as of `Builder`.
        characters: as of `Builder`.
        at_most: the largest number of samples; they are drawn at random, always the same ones.

    Raises:
        UserError: a file is missing, looks like another layout, or is malformed; no question is
            left; or `check_integrity` finds a fault.
    """
    files = [Path(file) for file in files]
    for file in files:
        check_layout(file, layout)
    builder = Builder(granularity, verbatim, characters)
    for file in files:
        LAYOUTS[layout](file, builder)
    names = ", ".join(map(str, files))
    if not builder.samples:
        raise UserError(f"{names}: found no question to ask, expected at least one")
    samples = builder.samples
    check_integrity(samples, names)
    if at_most is not None and at_most < len(samples):
        # At random: every n-th could be the first question of every story.
        drawn = random.Random(0).sample(range(len(samples)), at_most)
        samples = [samples[place] for place in sorted(drawn)]
    return Imported(samples, {name: n for name, n in sorted(builder.counts.items()) if n})


def read_samples(path: str | Path) -> list[Sample]:
    """The samples of a published benchmark or of our own Parquet.

    Raises:
        UserError: the file ends in nothing that is known, or as the reader of its layout.
    """
    reader = READERS.get(Path(path).suffix)
    if reader is None:
        raise UserError(f"{path}: expected a file that ends in {' or '.join(READERS)}")
    return reader(path)
