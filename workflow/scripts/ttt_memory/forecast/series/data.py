"""A dataset of series in memory and on disk."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from ... import io
from ...errors import UserError
from ..schemas import SERIES

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Split:
    """N series of T samples each."""

    inputs: Tensor  # [N, T, channels] float32; the target last where it is seen
    target: Tensor  # [N, T] float32
    scored: Tensor  # [N, T] bool, false where the target was missing
    origins: tuple[str, ...]  # [N]

    def __len__(self) -> int:
        """Number of series."""
        return len(self.origins)

    def to(self, device: str) -> "Split":
        """The same series on `device`."""
        moved = (tensor.to(device) for tensor in (self.inputs, self.target, self.scored))
        return Split(*moved, self.origins)


@dataclass(frozen=True)
class Series:
    """A dataset: three splits, and what its numbers mean."""

    splits: dict[str, Split]
    channels: tuple[str, ...]  # names of the input channels
    target: str
    observed: bool  # the target's past is the last input channel
    mean: float  # of the target over the training part, in its own unit
    unit: float  # its standard deviation: one unit of `Split.target`
    separate: bool  # each series was recorded by itself; else they are windows of longer records

    def to(self, device: str) -> "Series":
        """The same dataset with its splits on `device`."""
        splits = {name: split.to(device) for name, split in self.splits.items()}
        return replace(self, splits=splits)

    def write(self, path: str | Path, metadata: dict) -> None:
        """Write as Parquet under the schema `SERIES`; `metadata` is kept beside what is ours."""
        tables = []
        for name, split in self.splits.items():
            columns = {
                "split": pa.array([name] * len(split)),
                "series": pa.array(range(len(split)), pa.int32()),
                "origin": pa.array(split.origins, pa.string()),
                "inputs": _lists(split.inputs.flatten(1).numpy()),
                "target": _lists(split.target.numpy()),
                "scored": _lists(split.scored.numpy()),
            }
            tables.append(pa.table(columns, schema=SERIES))
        own = {
            "channels": list(self.channels),
            "target": self.target,
            "observed": self.observed,
            "mean": self.mean,
            "unit": self.unit,
            "separate": self.separate,
        }
        io.write_table(path, pa.concat_tables(tables), SERIES, {**metadata, **own})


def read(path: str | Path) -> Series:
    """The dataset that `Series.write` wrote.

    Raises:
        UserError: not such a file, a split is missing or its series differ in length.
    """
    table, note = io.read_arrow(path, SERIES), io.read_metadata(path)
    wanted = ("channels", "target", "observed", "mean", "unit", "separate")
    if any(key not in note for key in wanted):
        raise UserError(f"{path}: no note on channels and target; expected a file of make_series")
    names = np.array(table["split"].to_pylist(), dtype=object)
    splits = {}
    for name in SPLITS:
        rows = table.take(np.flatnonzero(names == name))
        if not rows.num_rows:
            raise UserError(f"{path}: no series in split {name!r}")
        splits[name] = _split(path, name, rows, len(note["channels"]))
    return Series(splits, tuple(note["channels"]), *(note[key] for key in wanted[1:]))


def _split(path: str | Path, name: str, rows: pa.Table, channels: int) -> Split:
    target, scored, inputs = (_matrix(rows[key]) for key in ("target", "scored", "inputs"))
    if target is None or inputs is None or inputs.shape[1] != channels * target.shape[1]:
        raise UserError(
            f"{path}: split {name!r}: expected series of one length and {channels} channels"
        )
    shape = (*target.shape, channels)
    return Split(
        torch.from_numpy(inputs.reshape(shape)),
        torch.from_numpy(target),
        torch.from_numpy(scored),
        tuple(rows["origin"].to_pylist()),
    )


def _lists(matrix: np.ndarray) -> pa.Array:
    """Rows of a matrix as a list column, without a Python object per number."""
    kind = pa.bool_() if matrix.dtype == bool else pa.float32()
    offsets = np.arange(0, matrix.size + 1, matrix.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(matrix.reshape(-1), kind))


def _matrix(column: pa.ChunkedArray) -> np.ndarray | None:
    """A list column as a matrix; None where the lists differ in length."""
    lengths = set(pa.compute.list_value_length(column).to_pylist())
    if len(lengths) != 1:
        return None
    values = pa.compute.list_flatten(column).to_numpy(zero_copy_only=False)
    return np.array(values.reshape(len(column), -1))
