"""Loading a base model from a folder in Hub format."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import is_flash_attn_2_available

from ...errors import UserError
from ..config.base_model import Attention, Dtype
from .attention_masks import FLASH


def load_model(
    folder: str | Path, dtype: Dtype = "float32", attention: Attention = "auto"
) -> PreTrainedModel:
    """Load a causal language model from a folder in Hub format.

    Only safetensors are opened, and no code from the folder is run.

    Raises:
        UserError: the folder or its weights are missing or unreadable, a tensor is missing, the
            weights are not safetensors, the model needs code from the folder, or the attention
            is not available here.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{folder}: no such model folder (expected config.json and *.safetensors in it)"
        )
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: no *.safetensors weights (pickle checkpoints are refused)")
    if attention == FLASH and not is_flash_attn_2_available():
        raise UserError(
            f"base.attention: found {attention!r}, expected 'auto', 'sdpa' or 'eager': "
            "flash-attn is not usable here"
        )
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            attn_implementation=None if attention == "auto" else attention,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise UserError(f"{folder}: cannot load the model ({error})") from error
    if missing := sorted(report["missing_keys"]):  # transformers would fill them at random
        raise UserError(f"{folder}: its weights lack {missing[0]} (of {len(missing)} in all)")
    return model.eval()
