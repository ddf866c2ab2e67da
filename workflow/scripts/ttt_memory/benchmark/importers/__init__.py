"""Benchmarks of others: one module per layout, and the file ending by which it is chosen.

A new layout is a module with a function from a path to a list of samples, and one line in READERS.
"""

from pathlib import Path

from ...errors import UserError
from ..files import read_benchmark
from ..sample import Sample
from .published_json import read_published

READERS = {".json": read_published, ".parquet": read_benchmark}


def read_samples(path: str | Path) -> list[Sample]:
    """The samples of a benchmark in any known layout, our own Parquet included.

    Raises:
        UserError: the file ends in nothing that is known, or as the reader of its layout.
    """
    reader = READERS.get(Path(path).suffix)
    if reader is None:
        raise UserError(f"{path}: expected a file that ends in {' or '.join(READERS)}")
    return reader(path)
