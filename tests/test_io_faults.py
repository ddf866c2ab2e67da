"""Files that are cut short, damaged or cannot be written: one clear message, no partial file."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from mounts import tmpfs
from ttt_memory import io
from ttt_memory.errors import UserError

SCHEMA = pa.schema([("text", pa.string()), ("value", pa.float64())])
ROWS = [{"text": f"row {number}", "value": number / 7} for number in range(500)]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "shard.parquet"
    io.write_table(path, ROWS, SCHEMA, {})
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    with tmpfs(tmp_path / "disk", "size=256k") as folder:
        yield folder


@pytest.mark.parametrize("kept", [0, 1, 100, -100, -1])
def test_shard_cut_short_is_reported_in_one_line(shard: Path, kept: int) -> None:
    shard.write_bytes(shard.read_bytes()[:kept])
    with pytest.raises(UserError, match=rf"{shard.name}: not a readable Parquet file .*delete it"):
        io.read_table(shard, SCHEMA)


def test_damaged_byte_is_found_in_every_column(shard: Path) -> None:
    whole = shard.read_bytes()
    metadata = io.pq.read_metadata(shard)
    columns = [metadata.row_group(0).column(index) for index in range(len(SCHEMA))]
    for column in columns:
        place = column.data_page_offset + column.total_compressed_size // 3
        shard.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match="not a readable Parquet file"):
            io.read_table(shard, SCHEMA)


@needs_root
def test_full_disk_leaves_nothing_under_the_final_name(disk: Path) -> None:
    rows = [{"text": os.urandom(64).hex(), "value": 0.0} for _ in range(10_000)]
    with pytest.raises(UserError, match=f"{disk}: no space left on the device"):
        io.write_table(disk / "shard.parquet", rows, SCHEMA, {})
    assert list(disk.iterdir()) == []


@needs_root
def test_full_disk_leaves_the_file_that_was_there(disk: Path) -> None:
    io.write_text(disk / "note", "before")
    with pytest.raises(UserError, match="no space left"):
        io.write_text(disk / "note", "after" * 100_000)
    assert (disk / "note").read_text() == "before"


def save_state(folder: Path) -> None:
    with io.beside(folder) as temporary:
        temporary.mkdir()
        torch.save(torch.zeros(200_000), temporary / "state")


@needs_root
def test_full_disk_is_reported_for_other_writers_too(disk: Path) -> None:
    with pytest.raises(UserError, match="no space left"):
        save_state(disk / "folder")
    assert list(disk.iterdir()) == []


@needs_root
def test_read_only_folder_is_reported(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(UserError, match=f"{disk}: the file system is read-only"):
        io.write_text(disk / "note", "text")
    with pytest.raises(UserError, match="found a folder that may not be written to"):
        io.require_writable(disk / "results" / "smoke")


def test_change_in_the_future_is_reported_unless_it_is_small(shard: Path) -> None:
    io.require_past(shard.parent / "absent")
    skew = time.time() + io.CLOCK_SKEW / 2
    os.utime(shard, (skew, skew))
    io.require_past(shard.parent)
    ahead = time.time() + 10 * io.CLOCK_SKEW
    os.utime(shard, (ahead, ahead))
    with pytest.raises(UserError, match=rf"{shard}: found a change (599|600) s in the future"):
        io.require_past(shard.parent)


def test_other_errors_are_not_changed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), io.beside(tmp_path / "note"):
        _ = 1 / 0


def test_file_in_place_of_a_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    for folder in ("results", "results/smoke"):
        told = f"{tmp_path / folder}: found the file {tmp_path / 'results'}, expected a folder"
        with pytest.raises(UserError, match=told):
            io.write_text(tmp_path / folder / "note", "x")
        with pytest.raises(UserError, match=told):
            io.require_writable(tmp_path / folder)


def test_folder_in_place_of_a_file_is_reported_and_kept(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "kept").touch()
    with pytest.raises(UserError, match="results: found a folder, expected the name of a file"):
        io.write_text(tmp_path / "results", "x")
    assert [p.name for p in tmp_path.rglob("*")] == ["results", "kept"]
    with io.beside(tmp_path / "results") as temporary:
        temporary.mkdir()
    assert not list((tmp_path / "results").iterdir())
