"""A trained run as a folder: written whole, read back on a device."""

from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from .. import io
from ..fast_weights import FastWeights
from ..fast_weights import load as load_fast_weights
from ..fast_weights import save as save_fast_weights
from .base import load_model

FAST, BASE = "fast_weights", "base"


def save_run(
    fw: FastWeights, folder: str | Path, joint: bool, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Write a trained run beside `folder` and rename: fast weights, and the base if it trained."""
    with io.beside(folder) as temporary:
        save_fast_weights(fw, temporary / FAST)
        if joint:
            fw.model.save_pretrained(temporary / BASE)
            tokenizer.save_pretrained(temporary / BASE)


def load_run(
    folder: str | Path, base: str | Path, device: torch.device, dtype: str = "float32"
) -> FastWeights:
    """A trained run: its own base if it trained one, else the shared base, and its fast weights.

    Raises:
        UserError: a folder is missing, or the fast weights do not fit the model.
    """
    own = Path(folder) / BASE
    model = load_model(own if own.is_dir() else base, dtype)
    return load_fast_weights(Path(folder) / FAST, model).to(device).eval()
