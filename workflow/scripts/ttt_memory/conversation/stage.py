"""A trained run as a folder: written whole, read back on a device."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .. import io
from ..fast_weights import FastWeights
from ..fast_weights import load as load_fast_weights
from ..fast_weights import save as save_fast_weights
from . import adapter
from .base import load_model
from .config import TrainConfig

if TYPE_CHECKING:
    from peft import PeftModel

FAST, BASE, ADAPTER = "fast_weights", "base", "adapter"


def save_run(
    fw: FastWeights,
    folder: str | Path,
    trained: "PreTrainedModel | PeftModel | None",
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Write a run beside `folder` and rename: its fast weights and what `trained` of the base."""
    with io.beside(folder) as temporary:
        save_fast_weights(fw, temporary / FAST)
        if isinstance(trained, PreTrainedModel):
            trained.save_pretrained(temporary / BASE)
            tokenizer.save_pretrained(temporary / BASE)
        elif trained is not None:
            adapter.save(trained, temporary / ADAPTER)


def trained_part(
    model: PreTrainedModel, config: TrainConfig
) -> "PreTrainedModel | PeftModel | None":
    """What of the base trains beside the fast weights: nothing, all of it, or adapters made now."""
    if config.regime == "lora":
        return adapter.adapt(model, config.lora)
    return model if config.regime == "joint" else None


def load_base(folder: str | Path, base: str | Path, dtype: str = "float32") -> PreTrainedModel:
    """What a trained run is with its memory off: its own base, or the shared one, adapted or not.

    Raises:
        UserError: a folder is missing, or the adapter is one of another base.
    """
    own, adapters = Path(folder) / BASE, Path(folder) / ADAPTER
    model = load_model(own if own.is_dir() else base, dtype)
    return adapter.load(adapters, model).eval() if adapters.is_dir() else model


def load_run(
    folder: str | Path, base: str | Path, device: torch.device, dtype: str = "float32"
) -> FastWeights:
    """A trained run: its base (see `load_base`) and its fast weights.

    Raises:
        UserError: a folder is missing, or the adapter or the fast weights do not fit the model.
    """
    model = load_base(folder, base, dtype)
    return load_fast_weights(Path(folder) / FAST, model).to(device).eval()
