"""Attention masks for packed rows, in the form that the attention of a model takes.

transformers passes a 4-D mask on as it is. So this module applies the sliding window of a layer,
and gives eager attention numbers to add to its scores, where a True would add one.
"""

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.flash_attention import flash_attention_forward
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from ...errors import UserError
from ...fast_weights.base_model import positions
from ..prompts.packing import CONTEXT, Packed

FLASH = "flash_attention_2"
FULL, SLIDING = "full_attention", "sliding_attention"


def _flash_or_sdpa(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: object,
) -> tuple[Tensor, None]:
    """Flash attention, or SDPA where the mask is 4-D: flash attention only takes padding."""
    blocks = attention_mask is not None and attention_mask.ndim == 4
    forward = sdpa_attention_forward if blocks else flash_attention_forward
    return forward(module, query, key, value, attention_mask, **options)


AttentionInterface.register(FLASH, _flash_or_sdpa)


def block_mask(
    model: PreTrainedModel, seen: Tensor, queries: Tensor, keys: Tensor
) -> Tensor | dict[str, Tensor]:
    """The attention mask to pass to `model`.

    Args:
        model: the model that will be called.
        seen: [B, 1, T, K] bool, True where a query sees a key.
        queries: [B, T] int64, the positions of the queries.
        keys: [B, K] int64, the positions of the keys.

    Returns:
        A mask [B, 1, T, K]: bool, or for eager attention numbers to add to the scores. A model
        with both kinds of layers gets a dictionary with one mask for each kind.

    Raises:
        UserError: a layer mixes tokens by other means than attention.
    """
    config = model.get_decoder().config
    masks = {}
    for kind in layer_kinds(model):
        mask = seen
        if kind == SLIDING:
            distance = queries[:, None, :, None] - keys[:, None, None, :]
            mask = seen & (distance < config.sliding_window)
        masks[kind] = _added(mask, model.dtype) if config._attn_implementation == "eager" else mask
    return masks if len(masks) > 1 else next(iter(masks.values()))


def packed_mask(model: PreTrainedModel, packed: Packed) -> Tensor | dict[str, Tensor]:
    """`block_mask` of packed rows.

    Rows without probes get a padding mask [B, T] bool if the model uses flash attention.

    Raises:
        UserError: a row has more positions than the model, or as `block_mask`.
    """
    longest = positions(model)
    if longest is not None and packed.positions > longest:
        raise UserError(
            f"a row to train on has {packed.positions} positions, the base model {longest}; "
            "expected smaller values of episode.distractor_tokens or episode.several"
        )
    flash = model.get_decoder().config._attn_implementation == FLASH
    if flash and not packed.has_probes:
        return packed.segment == CONTEXT
    return block_mask(model, packed.mask, packed.position_ids, packed.position_ids)


def layer_kinds(model: PreTrainedModel) -> list[str]:
    """The kinds of attention in the layers of `model`: FULL, SLIDING or both.

    Raises:
        UserError: a layer has another kind.
    """
    config = model.get_decoder().config
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        kinds = [SLIDING if getattr(config, "sliding_window", None) else FULL]
    for kind in kinds:
        if kind not in (FULL, SLIDING):
            raise UserError(
                f"{type(model).__name__}: found layers of kind {kind!r}, "
                f"expected {FULL} or {SLIDING}: no other kind uses an attention mask"
            )
    return sorted(set(kinds))


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Numbers to add to scores: 0 where `mask` is True, else the lowest number of `dtype`."""
    scores = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return scores.masked_fill(~mask, torch.finfo(dtype).min)
