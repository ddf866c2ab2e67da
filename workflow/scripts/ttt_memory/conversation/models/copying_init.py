"""Initial weights that let a small transformer learn to copy quickly: a rough induction circuit.

Two heads of the first layer attend to the previous token. Two heads of the second layer attend to
the positions whose previous token equals the current token, and copy the token there (arXiv
2209.11895 describes this circuit in trained models). All these weights are trained like any other.
Without them, a small transformer spends many steps before it finds the circuit.
"""

import torch
from torch import Tensor
from transformers import Qwen3ForCausalLM

PAIRED_HEADS = 2
GAIN = 1.5  # of the query and key norms: a match must win against some 200 other tokens
EMBEDDING_STD = 0.5
COMMON = 4.0  # length of the vector added to all embeddings, in standard deviations of these
COPY = 16.0  # gain of the copied token, which must outweigh the current one in the stream
FAST_PAIRS = 2  # rotary pairs whose angle differs enough between neighbouring positions


@torch.no_grad()
def rough_in_copying(model: Qwen3ForCausalLM, seed: int) -> None:
    """Set the heads of the first two layers and the embeddings of `model`, in place.

    A model is left as it is if it has one layer, fewer than two key/value heads, or a residual
    stream that is too narrow for two heads.
    """
    config = model.config
    d, width = config.hidden_size, config.head_dim
    narrow = d <= PAIRED_HEADS * width
    if narrow or config.num_hidden_layers < 2 or config.num_key_value_heads < PAIRED_HEADS:
        return
    draw = torch.Generator().manual_seed(seed)
    # The first direction is shared by all tokens; the next ones carry what differs among tokens.
    basis = torch.linalg.qr(torch.randn(d, d, generator=draw))[0]
    common, content = basis[0], basis[1 : 1 + PAIRED_HEADS * width]
    embeddings = model.model.embed_tokens.weight
    embeddings.normal_(0, EMBEDDING_STD, generator=draw)
    embeddings += COMMON * EMBEDDING_STD * common
    previous, match = model.model.layers[0].self_attn, model.model.layers[1].self_attn
    for attention in (layer.self_attn for layer in model.model.layers):
        attention.q_norm.weight.fill_(GAIN)
        attention.k_norm.weight.fill_(GAIN)
    landing = torch.linalg.qr(torch.randn(d, d, generator=draw))[0]
    frequency = model.model.rotary_emb.inv_freq[:FAST_PAIRS].float().cpu()
    for head in range(PAIRED_HEADS):
        rows = slice(head * width, (head + 1) * width)
        part, target = content[rows], landing[rows]  # [width, d]
        _attend_to_previous(previous, rows, common, frequency, part, target)
        _match_and_copy(match, rows, part, target)


def _attend_to_previous(
    attention: torch.nn.Module,
    rows: slice,
    common: Tensor,
    frequency: Tensor,
    part: Tensor,
    target: Tensor,
) -> None:
    """Attend to the previous token, by position alone, and copy its `part` to `target`.

    Args:
        attention: the attention of the first layer.
        rows: the rows of the projections that belong to the head.
        common: [d], the direction that all embeddings share.
        frequency: [FAST_PAIRS], rotary angles per position.
        part: [width, d], the directions of the residual stream that the head copies.
        target: [width, d], the directions that it writes them to.
    """
    width = rows.stop - rows.start
    half, pairs = width // 2, len(frequency)
    query, key = torch.zeros(width, len(common)), torch.zeros(width, len(common))
    query[:pairs] = common
    # The key is turned by one position more, so it points along the query of the next position.
    key[:pairs] = torch.cos(frequency)[:, None] * common
    key[half : half + pairs] = torch.sin(frequency)[:, None] * common
    attention.q_proj.weight[rows], attention.k_proj.weight[rows] = query, key
    attention.v_proj.weight[rows], attention.o_proj.weight[:, rows] = part, target.T


def _match_and_copy(attention: torch.nn.Module, rows: slice, part: Tensor, target: Tensor) -> None:
    """Attend to positions whose previous token equals the current one; copy the token there."""
    width, half = rows.stop - rows.start, (rows.stop - rows.start) // 2
    slow = half // 2  # from here on, rotary pairs turn too slowly to disturb a match
    query, key = torch.zeros(width, part.shape[1]), torch.zeros(width, part.shape[1])
    for block in (0, half):
        taken = slice(block, block + slow)
        query[block + slow : block + half] = part[taken]
        key[block + slow : block + half] = target[taken]
    attention.q_proj.weight[rows], attention.k_proj.weight[rows] = query, key
    attention.v_proj.weight[rows], attention.o_proj.weight[:, rows] = part, COPY * part.T
