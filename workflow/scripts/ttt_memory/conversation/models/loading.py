"""The base model: its tokenizer, its architecture, loading and saving in the hub's format."""

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.utils import is_flash_attn_2_available

from ...errors import UserError
from ..config.base_model import ArchitectureConfig, Attention, BaseConfig, Dtype
from .attention_masks import FLASH
from .copying_init import rough_in_copying

END, PAD = "<|end|>", "<|pad|>"
# Words keep their leading space; digits, spaces and every other character stand alone, so
# that a number or a Chinese name is a sequence of its characters wherever it occurs.
PIECES = r" ?[A-Za-z]+|(?m:.)"  # in Oniguruma, m lets the dot match a newline


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a byte-pair encoding with byte fallback on raw text.

    Chinese stays one token a character and numbers one token a digit; English words merge.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[PAD, END, *fallback], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    # The bytes are ordinary entries: only padding and the end token are special.
    return PreTrainedTokenizerFast(
        tokenizer_object=_without_special_bytes(tokenizer), eos_token=END, pad_token=PAD
    )


def _without_special_bytes(tokenizer: Tokenizer) -> Tokenizer:
    import json

    layout = json.loads(tokenizer.to_str())
    layout["added_tokens"] = [
        entry for entry in layout["added_tokens"] if entry["content"] in (PAD, END)
    ]
    return Tokenizer.from_str(json.dumps(layout))


def build_model(
    architecture: ArchitectureConfig, tokenizer: PreTrainedTokenizerFast, seed: int
) -> Qwen3ForCausalLM:
    """A Qwen3 of the given shape with random weights, copying roughed in, embeddings tied."""
    torch.manual_seed(seed)
    shape = architecture.model_dump(exclude={"vocab_size", "rope_theta"})
    config = Qwen3Config(
        **shape,
        vocab_size=len(tokenizer),
        rope_parameters={"rope_type": "default", "rope_theta": architecture.rope_theta},
        tie_word_embeddings=True,
        initializer_range=architecture.hidden_size**-0.5,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    rough_in_copying(model, seed)
    return model


def start_from(folder: str | Path, config: BaseConfig) -> PreTrainedModel:
    """The model in `folder`, to be trained on with the rotary frequencies of `config`.

    Raises:
        UserError: as `load_model`.
    """
    model = load_model(folder, attention=config.attention)
    rotary = {**model.config.rope_parameters, "rope_theta": config.architecture.rope_theta}
    model.config.rope_parameters = rotary
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    return model


def model_folder(config: BaseConfig, pretrained: str | Path) -> Path:
    """Where the base model is read from: its local folder, or the one a rule made."""
    return Path(config.path) if config.source == "local" else Path(pretrained)


def load_model(
    folder: str | Path, dtype: Dtype = "float32", attention: Attention = "auto"
) -> PreTrainedModel:
    """Load a causal language model from a hub-format folder: safetensors only, no code of its own.

    Raises:
        UserError: the folder or its weights are missing, in part too, unreadable or not
            safetensors; the model needs code from the folder, or has no such attention here.
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
    if missing := sorted(report["missing_keys"]):  # transformers would draw them at random
        raise UserError(f"{folder}: its weights lack {missing[0]} (of {len(missing)} in all)")
    return model.eval()
