"""Files between rules: Parquet with a schema and provenance, written beside and renamed."""

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .errors import UserError

METADATA_KEY = b"ttt_memory"
# Libraries tell a full disk each in its own words; an almost full one is told apart by this.
ALMOST_FULL = 2**20  # bytes
CLOCK_SKEW = 60.0  # seconds by which file servers may differ
UNWRITABLE = {
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to write here",
}


@contextmanager
def beside(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in `path`'s folder; rename it to `path` if the block succeeds.

    Works for a file or a folder (the block creates either at the yielded path), so that
    nothing half-written is ever found under the final name.

    Raises:
        UserError: the disk is full or may not be written to, or a folder stands where a file goes.
    """
    path = Path(path)
    with writable(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        with writable(path.parent):
            yield from _renamed(scratch / path.name, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _renamed(temporary: Path, path: Path) -> Iterator[Path]:
    yield temporary
    if path.is_dir():
        if not temporary.is_dir():
            raise UserError(f"{path}: found a folder, expected the name of a file")
        shutil.rmtree(path)
    os.replace(temporary, path)


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn what goes wrong within the block for want of space or permission into one line.

    Raises:
        UserError: names `folder` and what is in the way.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = UNWRITABLE.get(getattr(error, "errno", None))
        if not reason and folder.is_dir() and shutil.disk_usage(folder).free < ALMOST_FULL:
            reason = UNWRITABLE[errno.ENOSPC]
        if reason:
            raise UserError(f"{folder}: {reason}") from error
        raise


def require_writable(folder: str | Path) -> None:
    """Check before any work that `folder`, or what it will be made in, may be written to.

    Raises:
        UserError: it may not.
    """
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    if not os.access(existing, os.W_OK):
        raise UserError(f"{folder}: found a folder that may not be written to")


def require_past(folder: str | Path) -> None:
    """Check before any work that nothing in `folder` was changed in the future.

    After a clock was set back, what is edited looks older than results from before, and would not
    be compared with its record.

    Raises:
        UserError: names a file or folder that was, and the command that makes all comparable.
    """
    now = time.time()
    for place, _, names in os.walk(folder):
        for path in (Path(place), *(Path(place, name) for name in names)):
            ahead = _changed(path) - now
            if ahead > CLOCK_SKEW:
                raise UserError(
                    f"{path}: found a change {ahead:.0f} s in the future, expected none: was the"
                    " clock set back? With it right, give all results one old date, so that"
                    f" inputs compare by content: find {folder} -exec touch -d 2000-01-01 {{}} +"
                )


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:  # of another run, which goes on
        return 0.0


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text to `path` atomically."""
    with beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object) -> None:
    """Write `value` as indented UTF-8 JSON to `path` atomically."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n")


def write_table(
    path: str | Path, rows: pa.Table | pd.DataFrame | list[dict], schema: pa.Schema, metadata: dict
) -> None:
    """Write `rows` as Parquet under `schema`, byte for byte the same for the same input.

    `metadata` (JSON-serialisable: config slice, versions, seed, ...) is stored under the
    key `ttt_memory` of the file's schema metadata.
    """
    if isinstance(rows, pd.DataFrame):
        table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
    elif isinstance(rows, pa.Table):
        table = rows.select(schema.names).cast(schema)
    else:
        table = pa.Table.from_pylist(rows, schema=schema)
    note = json.dumps(metadata, ensure_ascii=False, sort_keys=True).encode()
    table = table.replace_schema_metadata({METADATA_KEY: note})
    with beside(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_arrow(path: str | Path, schema: pa.Schema) -> pa.Table:
    """Read a Parquet file and check its columns against `schema`.

    Raises:
        UserError: the file is missing, is no Parquet, or lacks a column of `schema`.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{path}: not a readable Parquet file ({error}); delete it to have it made again"
        ) from error
    missing = [name for name in schema.names if name not in table.schema.names]
    if missing:
        raise UserError(f"{path}: column {missing[0]!r} is missing; expected {schema.names}")
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise UserError(f"{path}: a column has another type than expected ({error})") from error


def read_table(path: str | Path, schema: pa.Schema) -> pd.DataFrame:
    """`read_arrow` as a pandas frame."""
    return read_arrow(path, schema).to_pandas()


def read_metadata(path: str | Path) -> dict:
    """The provenance that `write_table` stored, or an empty dict for a foreign file."""
    note = (pq.read_schema(path).metadata or {}).get(METADATA_KEY)
    return json.loads(note) if note else {}
