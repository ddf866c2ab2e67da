"""Cut long records into windows; what is scored of a window lies inside one split."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ...errors import UserError
from .config import ArrayDataset, TableDataset
from .dataset import SPLITS, Series, Split
from .scale import Scale
from .usage import Usage


@dataclass(frozen=True)
class Record:
    """A stretch of consecutive samples of one split, after `history` samples of the split before.

    Samples of the history are inputs of validation and test windows, and are never scored.
    """

    name: str  # of its group; begins the origin of its windows
    values: np.ndarray  # [samples, channels] float64, the target last; NaN where unknown
    scored: np.ndarray  # [samples] bool
    labels: list[str]  # [samples] time or row of each sample; ends the origin of a window
    history: int = 0


def cut(
    records: dict[str, list[Record]],
    channels: tuple[str, ...],
    config: ArrayDataset | TableDataset,
    where: str,
    standardise: bool,
    separate: bool = False,
    by_group: bool = False,
    advice: str = "",
) -> Series:
    """Standardise by the training records alone, then cut every record into windows.

    Args:
        records: the records of each split.
        channels: names of the channels, the target last.
        config: length of a window, strides, and whether the target is an input.
        where: the input file, for errors.
        standardise: whether to standardise; otherwise mean 0 and unit 1.
        separate: whether no two windows come from one record.
        by_group: whether records of a name are standardised by the training records of that name.
        advice: what may help if no record of a split is long enough.

    Raises:
        UserError: a channel is constant in training, a group that is standardised by itself has no
            training record, or a split has no window.
    """
    windows = {
        split: [
            (record, *window)
            for record in records[split]
            for window in _windows(record, config, split)
        ]
        for split in SPLITS
    }
    names = dict.fromkeys(record.name for found in windows.values() for record, *_ in found)
    train = records["train"]
    if by_group:
        own = {name: [record for record in train if record.name == name] for name in names}
        scaling = {
            name: _scaling(own[name], channels, f"{where}: group {name!r}", standardise)
            for name in names
        }
    else:
        scaling = dict.fromkeys(names, _scaling(train, channels, where, standardise))
    for split, found in windows.items():
        if not found:
            longest = max((len(record.values) for record in records[split]), default=0)
            raise UserError(
                f"{where}: the longest stretch of the {split} part without a gap has {longest}"
                f" rows, expected at least length {config.length}{advice}"
            )
    splits, used = {}, {}
    for split, found in windows.items():
        splits[split] = _split(found, scaling, config)
        used[split] = sum(_covered(record, config, split) for record in records[split])
    seen = channels if config.observe_target else channels[:-1]
    target = channels[-1], config.observe_target
    usage = Usage(
        {split: sum(len(r.values) - r.history for r in records[split]) for split in SPLITS},
        used,
        {split: len(part) for split, part in splits.items()},
        {split: _counted(part, split, config) for split, part in splits.items()},
    )
    return Series(splits, seen, *target, separate, usage, config.unit)


def _scaling(
    train: list[Record], channels: tuple[str, ...], where: str, standardise: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unit of each channel in these records; 0 and 1 if it is not to be standardised."""
    if not train:
        raise UserError(
            f"{where}: no row in the training part, expected rows to standardise it by, or"
            " `scale: table`"
        )
    values = np.concatenate([record.values for record in train])
    for name, column in zip(channels, values.T, strict=True):
        known = column[np.isfinite(column)]
        if not known.size or np.ptp(known) < 1e-12:
            raise UserError(
                f"{where}: {name!r} is constant or empty in the training part, expected values"
                " that differ"
            )
    if not standardise:
        return np.zeros(len(channels)), np.ones(len(channels))
    return np.nanmean(values, 0), np.nanstd(values, 0)


def _windows(
    record: Record, config: ArrayDataset | TableDataset, split: str
) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows of each window of a record, and which of them are scored.

    Without `test_stride`, validation and test windows score every sample after the first
    `first_scored` of the record once: a last window ends where the record ends.
    """
    samples, length = len(record.values), config.length
    stride = config.stride
    if split != "train":
        stride = config.test_stride or length - config.first_scored
    starts = list(range(0, samples - length + 1, stride))
    if split != "train" and config.test_stride is None and starts:
        starts += [samples - length] if starts[-1] + length < samples else []
    end = 0  # of what is scored
    for start in starts:
        rows = slice(start, start + length)
        scored = record.scored[rows].copy()
        if split != "train":
            first = max(config.first_scored, record.history - start)
            if config.test_stride is None:
                first = max(first, end - start)
            scored[:first] = False
            end = rows.stop
        yield rows, scored


def _covered(record: Record, config: ArrayDataset | TableDataset, split: str) -> int:
    """Samples of a record that are in a window, its history left out."""
    inside = np.zeros(len(record.values), bool)
    for rows, _ in _windows(record, config, split):
        inside[rows] = True
    return int(inside[record.history :].sum())


def _counted(part: Split, split: str, config: ArrayDataset | TableDataset) -> int:
    """Samples that count, at the smallest horizon, in training, or in validation and test."""
    first = config.context_window - 1 + config.horizons[0] if split == "train" else 0
    return int(part.scored[:, first:].sum())


def _split(
    windows: list[tuple[Record, slice, np.ndarray]],
    scaling: dict[str, tuple[np.ndarray, np.ndarray]],
    config: ArrayDataset | TableDataset,
) -> Split:
    values, scales = [], []
    for record, rows, _ in windows:
        mean, unit = scaling[record.name]
        # Values that are not known yet are set to the training mean.
        values.append(np.nan_to_num((record.values[rows] - mean) / unit))
        scales.append(Scale(float(mean[-1]), float(unit[-1])))
    stacked = torch.from_numpy(np.stack(values).astype(np.float32))
    inputs = stacked if config.observe_target else stacked[:, :, :-1].contiguous()
    return Split(
        inputs,
        stacked[:, :, -1].contiguous(),
        torch.from_numpy(np.stack([scored for *_, scored in windows])),
        tuple(f"{record.name} {record.labels[rows.start]}".strip() for record, rows, _ in windows),
        tuple(scales),
    )
