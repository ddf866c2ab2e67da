"""The series of a dataset: their tensors, and the Parquet file that holds them."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from ... import io
from ...errors import UserError
from ..schemas import SERIES
from .scale import Scale
from .usage import SPLITS, Usage


@dataclass(frozen=True)
class Split:
    """N series of T samples each."""

    inputs: Tensor  # [N, T, channels] float32; the target last, if observed
    target: Tensor  # [N, T] float32
    scored: Tensor  # [N, T] bool, false where the target was missing
    origins: tuple[str, ...]  # [N] where each series comes from
    scales: tuple[Scale, ...] = ()  # [N] of the target of each series; a batch has none

    def __len__(self) -> int:
        """Number of series."""
        return len(self.origins)

    def to(self, device: torch.device) -> "Split":
        """The same series on `device`."""
        moved = (tensor.to(device) for tensor in (self.inputs, self.target, self.scored))
        return Split(*moved, self.origins, self.scales)


@dataclass(frozen=True)
class Series:
    """The series of one dataset in three splits, and what their numbers mean."""

    splits: dict[str, Split]
    channels: tuple[str, ...]  # names of the input channels
    target: str
    observed: bool  # whether the target is the last input channel
    separate: bool  # whether each series is a record of its own, not a window of a longer one
    usage: Usage = field(default_factory=Usage)  # how much of the data is in the splits
    unit_name: str = ""  # of the target's own unit; empty where none was given
    step: float | None = None  # seconds from one sample to the next, if they have times
    floor: float | None = None  # MSE of the noise in the test series, where it is known

    def to(self, device: torch.device) -> "Series":
        """The same series on `device`."""
        splits = {name: split.to(device) for name, split in self.splits.items()}
        return replace(self, splits=splits)

    def write(self, path: str | Path, metadata: dict) -> None:
        """Write as Parquet in the schema SERIES; `metadata` is added to the file's own note."""
        tables = []
        for name, split in self.splits.items():
            columns = {
                "split": pa.array([name] * len(split)),
                "series": pa.array(range(len(split)), pa.int32()),
                "origin": pa.array(split.origins, pa.string()),
                "inputs": _lists(split.inputs.flatten(1).numpy()),
                "target": _lists(split.target.numpy()),
                "scored": _lists(split.scored.numpy()),
                "mean": pa.array([scale.mean for scale in split.scales], pa.float64()),
                "unit": pa.array([scale.unit for scale in split.scales], pa.float64()),
            }
            tables.append(pa.table(columns, schema=SERIES))
        own = {
            "channels": list(self.channels),
            "target": self.target,
            "observed": self.observed,
            "separate": self.separate,
            "usage": self.usage.note(),
            "unit_name": self.unit_name,
            "step": self.step,
            "floor": self.floor,
        }
        io.write_table(path, pa.concat_tables(tables), SERIES, {**metadata, **own})


def read(path: str | Path) -> Series:
    """The series that `Series.write` wrote to `path`.

    Raises:
        UserError: it is no such file, a split is missing, or its series differ in length.
    """
    table, note = io.read_arrow(path, SERIES), io.read_metadata(path)
    wanted = ("channels", "target", "observed", "separate")
    further = Usage.read(note["usage"]) if "usage" in note else Usage()
    more = (further, note.get("unit_name", ""), note.get("step"), note.get("floor"))
    if any(key not in note for key in wanted):
        raise UserError(
            f"{path}: no note on channels and target, expected a file made by make_series.py"
        )
    names = np.array(table["split"].to_pylist(), dtype=object)
    splits = {}
    for name in SPLITS:
        rows = table.take(np.flatnonzero(names == name))
        if not rows.num_rows:
            raise UserError(f"{path}: no series in split {name!r}")
        splits[name] = _split(path, name, rows, len(note["channels"]))
    return Series(splits, tuple(note["channels"]), *(note[key] for key in wanted[1:]), *more)


def _split(path: str | Path, name: str, rows: pa.Table, channels: int) -> Split:
    target, scored, inputs = (_matrix(rows[key]) for key in ("target", "scored", "inputs"))
    if target is None or inputs is None or inputs.shape[1] != channels * target.shape[1]:
        raise UserError(
            f"{path}: split {name!r}: expected series of equal length with {channels} channels"
        )
    shape = (*target.shape, channels)
    return Split(
        torch.from_numpy(inputs.reshape(shape)),
        torch.from_numpy(target),
        torch.from_numpy(scored),
        tuple(rows["origin"].to_pylist()),
        tuple(map(Scale, rows["mean"].to_pylist(), rows["unit"].to_pylist())),
    )


def _lists(matrix: np.ndarray) -> pa.Array:
    """Rows of a matrix as a list column, made without one Python object per number."""
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
