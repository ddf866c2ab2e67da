"""Who sees whom: block masks in the form that a model's attention takes them.

transformers uses a 4-D mask as it is given. It lays no sliding window over it, and eager attention
adds it to the scores, where True would count as one. So both are done here.
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
    """Flash attention, which knows padding but no blocks: those are left to SDPA."""
    blocks = attention_mask is not None and attention_mask.ndim == 4
    forward = sdpa_attention_forward if blocks else flash_attention_forward
    return forward(module, query, key, value, attention_mask, **options)


AttentionInterface.register(FLASH, _flash_or_sdpa)


def block_mask(
    model: PreTrainedModel, seen: Tensor, queries: Tensor, keys: Tensor
) -> Tensor | dict[str, Tensor]:
    """What `model` takes as its attention mask.

    Args:
        model: the model that will be called.
        seen: [B, 1, T, K] bool, True where a query sees a key.
        queries: [B, T] int64, their positions.
        keys: [B, K] int64, theirs.

    Returns:
        A mask [B, 1, T, K], bool or, for eager attention, added to the scores; where the model
        has layers with and without a window, one for each kind.

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
    """`block_mask` of packed rows; only padding, [B, T], where flash attention can do with it.

    Raises:
        UserError: a row has more positions than the model, or as `block_mask`.
    """
    longest = positions(model)
    if longest is not None and packed.positions > longest:
        raise UserError(
            f"a row to train on has {packed.positions} positions, the base model {longest}; "
            "expected smaller episode.distractor_tokens or episode.several"
        )
    flash = model.get_decoder().config._attn_implementation == FLASH
    if flash and not packed.has_probes:
        return packed.segment == CONTEXT
    return block_mask(model, packed.mask, packed.position_ids, packed.position_ids)


def layer_kinds(model: PreTrainedModel) -> list[str]:
    """The kinds of attention that the layers of `model` have: FULL, SLIDING or both.

    Raises:
        UserError: there is another kind.
    """
    config = model.get_decoder().config
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        kinds = [SLIDING if getattr(config, "sliding_window", None) else FULL]
    for kind in kinds:
        if kind not in (FULL, SLIDING):
            raise UserError(
                f"{type(model).__name__}: found layers of kind {kind!r}, "
                f"expected {FULL} or {SLIDING}: no other obeys a mask"
            )
    return sorted(set(kinds))


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where `mask` is True, and next to minus infinity elsewhere."""
    scores = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return scores.masked_fill(~mask, torch.finfo(dtype).min)
