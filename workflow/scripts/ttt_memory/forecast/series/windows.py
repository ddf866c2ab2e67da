"""Cut long records into windows; each window lies inside one split."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ...errors import UserError
from .config import ArrayDataset, TableDataset
from .dataset import SPLITS, Series, Split


@dataclass(frozen=True)
class Record:
    """A stretch of consecutive samples of one split."""

    name: str  # begins the origin of its windows
    values: np.ndarray  # [samples, channels] float64, the target last; NaN where unknown
    scored: np.ndarray  # [samples] bool
    labels: list[str]  # [samples] time or row of each sample; ends the origin of a window


def cut(
    records: dict[str, list[Record]],
    channels: tuple[str, ...],
    config: ArrayDataset | TableDataset,
    where: str,
    standardise: bool,
    separate: bool = False,
) -> Series:
    """Standardise by the training records alone, then cut every record into windows.

    Args:
        records: the records of each split.
        channels: names of the channels, the target last.
        config: length of a window, strides, and whether the target is an input.
        where: the input file, for errors.
        standardise: whether to standardise; otherwise mean 0 and unit 1.
        separate: whether no two windows come from one record.

    Raises:
        UserError: a channel is constant in training, or a split has no window.
    """
    train = np.concatenate([record.values for record in records["train"]])
    for name, column in zip(channels, train.T, strict=True):
        known = column[np.isfinite(column)]
        if not known.size or np.ptp(known) < 1e-12:
            raise UserError(
                f"{where}: {name!r} is constant or empty in the training part, expected values"
                " that differ"
            )
    mean, unit = np.zeros(len(channels)), np.ones(len(channels))
    if standardise:
        mean, unit = np.nanmean(train, 0), np.nanstd(train, 0)
    splits = {}
    for split in SPLITS:
        stride = config.stride if split == "train" else _test_stride(config)
        splits[split] = _split(records[split], mean, unit, stride, config)
        if not len(splits[split]):
            longest = max((len(record.values) for record in records[split]), default=0)
            raise UserError(
                f"{where}: the longest stretch of the {split} part without a gap has {longest}"
                f" rows, expected at least length {config.length}"
            )
    seen = channels if config.observe_target else channels[:-1]
    target = channels[-1], config.observe_target, float(mean[-1]), float(unit[-1])
    return Series(splits, seen, *target, separate)


def _test_stride(config: ArrayDataset | TableDataset) -> int:
    return config.test_stride or config.length - config.context_window


def _split(
    records: list[Record],
    mean: np.ndarray,
    unit: np.ndarray,
    stride: int,
    config: ArrayDataset | TableDataset,
) -> Split:
    values, scored, origins = [], [], []
    for record in records:
        for rows in _starts(len(record.values), config.length, stride):
            # Values that are not known yet are set to the training mean.
            values.append(np.nan_to_num((record.values[rows] - mean) / unit))
            scored.append(record.scored[rows])
            origins.append(f"{record.name} {record.labels[rows.start]}".strip())
    if not values:
        empty = torch.zeros(0, config.length)
        return Split(empty.unsqueeze(-1), empty, empty.bool(), ())
    stacked = torch.from_numpy(np.stack(values).astype(np.float32))
    inputs = stacked if config.observe_target else stacked[:, :, :-1].contiguous()
    return Split(
        inputs, stacked[:, :, -1].contiguous(), torch.from_numpy(np.stack(scored)), tuple(origins)
    )


def _starts(samples: int, length: int, stride: int) -> Iterator[slice]:
    for start in range(0, samples - length + 1, stride):
        yield slice(start, start + length)
