"""Files between rules: Parquet with a schema and metadata.

Every file is written under a temporary name and then renamed. So a file is complete or not there.
"""

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
# Libraries report a full disk in different words. With fewer free bytes than this, it was full.
ALMOST_FULL = 2**20
CLOCK_SKEW = 60.0  # seconds by which the clocks of two machines may differ
UNWRITABLE = {
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to write here",
}


@contextmanager
def beside(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, and rename it to `path` at the end.

    The block creates a file or a folder at the temporary path. If it fails, that is removed and
    `path` stays as it was.

    Raises:
        UserError: the disk is full or cannot be written to, `path` is a folder and the block made
            a file, or `path` would lie in a file.
    """
    path = Path(path)
    with writable(require_folder(path.parent)):
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
    """Report a lack of disk space or of permission within the block in one line.

    Raises:
        UserError: names `folder` and what is missing.
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


def require_folder(folder: str | Path) -> Path:
    """Check that `folder` is one or can be made; the nearest that is there.

    Raises:
        UserError: it, or what it would lie in, is a file.
    """
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise UserError(f"{folder}: found the file {existing}, expected a folder")
    return existing


def require_writable(folder: str | Path) -> None:
    """Check that `folder` can be written to or, if it does not exist, that it can be made.

    Raises:
        UserError: it cannot.
    """
    if not os.access(require_folder(folder), os.W_OK):
        raise UserError(f"{folder}: found a folder that may not be written to")


def require_past(folder: str | Path) -> None:
    """Check that no file in `folder` has a time of change in the future.

    If the clock was set back, a file that is edited now looks older than the results. Then
    Snakemake would not notice the edit.

    Raises:
        UserError: names such a file or folder, and the command that repairs the times.
    """
    now = time.time()
    for place, _, names in os.walk(folder):
        for path in (Path(place), *(Path(place, name) for name in names)):
            ahead = _changed(path) - now
            if ahead > CLOCK_SKEW:
                raise UserError(
                    f"{path}: found a change {ahead:.0f} s in the future, expected none. Was the"
                    " clock set back? Set it right. Then give all results an old date, so that"
                    " inputs are compared by content:"
                    f" find {folder} -exec touch -d 2000-01-01 {{}} +"
                )


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:  # another run is at work here and removed it
        return 0.0


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` as UTF-8."""
    with beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object) -> None:
    """Write `value` to `path` as indented JSON in UTF-8, with sorted keys."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n")


def write_table(
    path: str | Path, rows: pa.Table | pd.DataFrame | list[dict], schema: pa.Schema, metadata: dict
) -> None:
    """Write `rows` as Parquet with the columns of `schema`. The same rows give the same bytes.

    `metadata` is stored as JSON under the key `ttt_memory` of the file's schema metadata. It holds
    the configuration, versions, the seed and so on.
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
    """Read the columns of `schema` from a Parquet file.

    Raises:
        UserError: the file is missing or is not Parquet, or a column is missing or has another
            type.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{path}: not a readable Parquet file ({error}); if this workflow made it,"
            " delete it, and it is made again"
        ) from error
    missing = [name for name in schema.names if name not in table.schema.names]
    if missing:
        raise UserError(f"{path}: column {missing[0]!r} is missing; expected {schema.names}")
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise UserError(f"{path}: a column has another type than expected ({error})") from error


def read_table(path: str | Path, schema: pa.Schema) -> pd.DataFrame:
    """The same as `read_arrow`, as a pandas frame."""
    return read_arrow(path, schema).to_pandas()


def read_metadata(path: str | Path) -> dict:
    """The metadata that `write_table` stored; empty for a file from elsewhere."""
    note = (pq.read_schema(path).metadata or {}).get(METADATA_KEY)
    return json.loads(note) if note else {}
