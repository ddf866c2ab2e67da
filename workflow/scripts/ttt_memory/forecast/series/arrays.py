"""Series from NumPy files: [series, samples, channels], or one record [samples, channels]."""

from pathlib import Path

import numpy as np

from ...errors import UserError
from .config import ArrayDataset
from .dataset import SPLITS, Series
from .windows import Record, cut


def make(config: ArrayDataset) -> Series:
    """The series of `config`.

    Raises:
        UserError: a file is missing or unreadable, does not hold finite numbers in the expected
            dimensions, or the arrays do not fit each other.
    """
    arrays = {"train": _load(config.train), "test": _load(config.test)}
    if config.valid is None:
        arrays["train"], arrays["valid"] = _hold_out(config, arrays["train"])
    else:
        arrays["valid"] = _load(config.valid)
    first = arrays["train"]
    for split, array in arrays.items():
        if array.ndim != first.ndim or array.shape[-1] != first.shape[-1]:
            raise UserError(
                f"{getattr(config, split)}: shape {list(array.shape)}, expected "
                f"{first.ndim} dimensions and {first.shape[-1]} channels as in {config.train}"
            )
    arrays = {split: _target_last(config, array) for split, array in arrays.items()}
    channels = (*tuple(f"channel {index}" for index in range(first.shape[-1] - 1)), "target")
    if not config.observe_target and len(channels) == 1:
        raise UserError(
            f"{config.train}: found one channel, the target, and observe_target is false; expected"
            " a channel that may be seen"
        )
    if first.ndim == 3:
        return _whole(config, arrays, channels)
    records = {
        split: [
            Record("", array, np.ones(len(array), bool), [str(row) for row in range(len(array))])
        ]
        for split, array in arrays.items()
    }
    return cut(records, channels, config, config.train, config.standardise)


def _load(path: str) -> np.ndarray:
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: not a readable .npy file ({error})") from error
    if not isinstance(array, np.ndarray) or array.ndim not in (2, 3) or not array.size:
        raise UserError(
            f"{path}: expected a filled array [series, samples, channels] or [samples, channels]"
        )
    if array.dtype.kind not in "fiu":
        raise UserError(f"{path}: found numbers of type {array.dtype}, expected real numbers")
    array = array.astype(np.float64)
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        place = wrong[0].tolist()
        found = "NaN" if np.isnan(array[tuple(place)]) else "infinity"
        raise UserError(f"{path}: found {found} at {place}, expected finite numbers alone")
    return array


def _hold_out(config: ArrayDataset, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    kept = len(array) - max(1, round(config.valid_fraction * len(array)))
    return array[:kept], array[kept:]


def _target_last(config: ArrayDataset, array: np.ndarray) -> np.ndarray:
    count = array.shape[-1]
    if not -count <= config.target < count:
        raise UserError(f"{config.train}: target {config.target}, expected one of {count} channels")
    target = config.target % count
    order = [index for index in range(count) if index != target] + [target]
    return array[..., order]


def _whole(config: ArrayDataset, arrays: dict, channels: tuple[str, ...]) -> Series:
    """The arrays as they are: each row is one series."""
    length = arrays["train"].shape[1]
    if length != config.length or any(array.shape[1] != length for array in arrays.values()):
        found = sorted({array.shape[1] for array in arrays.values()})
        raise UserError(
            f"{config.train}: found series of {found} samples, expected length {config.length}"
        )
    records = {
        split: [
            Record("series", row, np.ones(length, bool), [str(index)] * length)
            for index, row in enumerate(arrays[split])
        ]
        for split in SPLITS
    }
    return cut(records, channels, config, config.train, config.standardise, separate=True)
