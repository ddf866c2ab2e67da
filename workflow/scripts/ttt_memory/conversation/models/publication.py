"""A trained memory made small enough to be handed on: its tensors rounded to bfloat16."""

import shutil
from pathlib import Path

import torch

from ... import io
from ...errors import UserError
from ...fast_weights.checkpoint import copy_rounded
from ..config.training import ADAPTER, BASE, CURVE, FAST
from . import lora


def publish(folder: Path, out: Path, curve: Path | None = None) -> None:
    """Copy a trained run, which has no base of its own, with bfloat16 in place of float32.

    The copy is loaded as any trained run is, in float32 again. Fingerprints are of values rounded
    to bfloat16, so the copy belongs to the same base.

    Args:
        folder: a trained run, as `save_run` writes it: `fast_weights/`, and perhaps `adapter/`.
        out: the folder of the copy; it is replaced as a whole.
        curve: the training curve, to go with it.

    Raises:
        UserError: `folder` is no trained run, is damaged or holds a whole base, or there is no
            such curve.
    """
    if (folder / BASE).is_dir():
        raise UserError(
            f"{folder}: found a trained base, expected regime lora or frozen:"
            " a whole base is published as a model of its own"
        )
    if curve and not curve.is_file():
        raise UserError(f"{curve}: found no file, expected a training curve")
    with io.beside(out) as temporary:
        copy_rounded(folder / FAST, temporary / FAST, torch.bfloat16)
        if (folder / ADAPTER).is_dir():
            lora.copy_rounded(folder / ADAPTER, temporary / ADAPTER, torch.bfloat16)
        if curve:
            shutil.copyfile(curve, temporary / CURVE)
