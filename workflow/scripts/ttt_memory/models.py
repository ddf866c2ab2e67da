"""What any Hugging Face model is asked: how long its input may be, and which one it is."""

from hashlib import blake2b

import torch
from torch import nn
from transformers import PreTrainedModel

SAMPLED = 256  # values of each tensor in a fingerprint: an 8B model's take under a second


def positions(model: PreTrainedModel) -> int | None:
    """The longest input of `model`, tokens; None where it has no limit."""
    return getattr(model.get_decoder().config, "max_position_embeddings", None)


def is_adapter(name: str) -> bool:
    """Whether a parameter of this name is a factor of an adapter."""
    return ".lora_" in name


def fingerprint(module: nn.Module) -> str:
    """Digits that tell `module` from another, with or without an adapter on it.

    Of its parameters' names, shapes and a sample of their values, rounded to bfloat16: a base
    loaded in either type is the same base.
    """
    digest = blake2b(digest_size=16)
    for name, parameter in module.named_parameters():
        if is_adapter(name):
            continue
        name = name.replace(".base_layer", "")
        values = parameter.detach().flatten()
        values = values[:: max(1, len(values) // SAMPLED)].to("cpu", torch.bfloat16).contiguous()
        digest.update(f"{name} {tuple(parameter.shape)}".encode())
        digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
