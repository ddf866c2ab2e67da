"""What is given to a pass of the model, checked before it runs."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from .state import FastState


def check_tokens(model: PreTrainedModel, ids: Tensor, weight: Tensor | None = None) -> None:
    """Refuse ids that the model does not have, and write weights that are none.

    Their values are looked at on a CPU alone: a GPU would have to be waited for.

    Raises:
        ValueError: names what was found and what was expected.
    """
    size = getattr(model.get_input_embeddings(), "num_embeddings", model.config.vocab_size)
    if ids.device.type == "cpu" and not 0 <= ids.min() <= ids.max() < size:
        found = int(ids.min() if ids.min() < 0 else ids.max())
        raise ValueError(f"input_ids: found {found}, expected 0 to {size - 1}")
    if weight is None:
        return
    if weight.shape != ids.shape:
        raise ValueError(f"write_weight {tuple(weight.shape)} for input_ids {tuple(ids.shape)}")
    if weight.device.type == "cpu" and not ((weight >= 0) & weight.isfinite()).all():
        raise ValueError("write_weight: expected finite numbers of at least 0")


def check_ids(ids: object) -> None:
    """Refuse what is no batch of token ids.

    Raises:
        ValueError: names what was found.
    """
    whole = isinstance(ids, Tensor) and not ids.is_floating_point()
    if not whole or ids.ndim != 2 or not ids.numel():
        found = tuple(ids.shape) if isinstance(ids, Tensor) else type(ids).__name__
        found = ids.dtype if isinstance(ids, Tensor) and not whole else found
        raise ValueError(f"input_ids {found}; expected a tensor [B, T] of one token at least")


def write_mask_of(
    ids: Tensor, attention_mask: Tensor | dict[str, Tensor] | None, mask: Tensor | None
) -> Tensor:
    """`[B, T]` bool: the tokens to write."""
    check_ids(ids)
    if isinstance(attention_mask, FastState):
        raise ValueError("attention_mask: found a state; expected it as state=...")
    if mask is None and attention_mask is not None:
        if isinstance(attention_mask, dict) or attention_mask.ndim != 2:
            raise ValueError("a 4-D attention mask does not say what to write: pass write_mask")
        mask = attention_mask[:, -ids.shape[1] :]
    if mask is None:
        return torch.ones_like(ids, dtype=torch.bool)
    if mask.shape != ids.shape:
        raise ValueError(f"write mask {tuple(mask.shape)} for input_ids {tuple(ids.shape)}")
    return mask.bool()
