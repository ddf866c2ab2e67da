"""The embedded model, before its training: its tokenizer and its initial weights."""

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from ..config.base_model import ArchitectureConfig, BaseConfig
from .copying_init import rough_in_copying
from .loading import load_model

END, PAD = "<|end|>", "<|pad|>"
# A word keeps the space before it. Every other character is a piece of its own, so a number or a
# Chinese name is the same sequence of characters wherever it occurs.
PIECES = r" ?[A-Za-z]+|(?m:.)"  # in Oniguruma, m lets the dot match a newline


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a byte-pair encoding with byte fallback on raw text.

    Each Chinese character and each digit is one token. English words are merged from letters.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[PAD, END, *fallback], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=_without_special_bytes(tokenizer), eos_token=END, pad_token=PAD
    )


def _without_special_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer, in which padding and the end token alone are special tokens.

    The trainer gives the fallback bytes their places only if they are special, but decoding must
    not skip them.
    """
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [
        entry for entry in content["added_tokens"] if entry["content"] in (PAD, END)
    ]
    return Tokenizer.from_str(json.dumps(content))


def build_model(
    architecture: ArchitectureConfig, tokenizer: PreTrainedTokenizerFast, seed: int
) -> Qwen3ForCausalLM:
    """A Qwen3 of the given shape with tied embeddings.

    Its weights are random, but for the heads that `rough_in_copying` sets.
    """
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
    """The model in `folder`, to be trained further with the rotary frequencies of `config`.

    Raises:
        UserError: as `load_model`.
    """
    model = load_model(folder, attention=config.attention)
    rotary = {**model.config.rope_parameters, "rope_theta": config.architecture.rope_theta}
    model.config.rope_parameters = rotary
    model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
    return model
