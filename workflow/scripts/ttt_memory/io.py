"""Files between rules: Parquet with a schema and provenance, written beside and renamed."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .errors import UserError

METADATA_KEY = b"ttt_memory"


@contextmanager
def beside(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in `path`'s folder; rename it to `path` if the block succeeds.

    Works for a file or a folder (the block creates either at the yielded path), so that
    nothing half-written is ever found under the final name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        temporary = scratch / path.name
        yield temporary
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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
        pq.write_table(table, temporary, compression="zstd")


def read_arrow(path: str | Path, schema: pa.Schema) -> pa.Table:
    """Read a Parquet file and check its columns against `schema`.

    Raises:
        UserError: the file is missing, is no Parquet, or lacks a column of `schema`.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({error})") from error
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
