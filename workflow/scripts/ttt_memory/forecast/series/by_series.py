"""Generated waves as a dataset: every series is a record of its own, split by series."""

import numpy as np
import torch

from .dataset import SPLITS, Series, Split
from .generated_config import SineDataset, SwitchDataset
from .scale import Scale
from .usage import Usage


def split_by_series(
    config: SineDataset | SwitchDataset,
    waves: np.ndarray,
    origins: list[str],
    noise: np.ndarray,
    rng: np.random.Generator,
) -> Series:
    """Shuffle and split generated series; they are not standardised.

    Args:
        config: the shares of the parts, and from which sample on is scored.
        waves: samples [series, length].
        origins: what each series is called.
        noise: variance of the noise of each series, [series].
        rng: draws the order.
    """
    order = rng.permutation(len(waves))
    train, valid = (round(config.fractions[part] * len(waves)) for part in (0, 1))
    parts = dict(zip(SPLITS, np.split(order, [train, train + valid]), strict=True))
    splits = {}
    for name, rows in parts.items():
        target = torch.from_numpy(waves[rows].astype(np.float32))
        scored = torch.ones_like(target, dtype=torch.bool)
        if name != "train":
            scored[:, : config.first_scored] = False
        named = tuple(origins[row] for row in rows)
        splits[name] = Split(target.unsqueeze(-1), target, scored, named, (Scale(),) * len(named))
    samples = {name: split.target.numel() for name, split in splits.items()}
    counted = {name: int(split.scored.sum()) for name, split in splits.items()}
    counted["train"] -= len(splits["train"]) * (config.context_window - 1 + config.horizons[0])
    usage = Usage(samples, samples, {name: len(rows) for name, rows in parts.items()}, counted)
    # Whoever knows each wave itself still errs by its noise.
    floor = float(np.mean(noise[parts["test"]]))
    return Series(splits, ("x",), "x", True, separate=True, usage=usage, floor=floor)
