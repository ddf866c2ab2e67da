"""Initial weights in which copying is quick to learn: an induction circuit, roughed out.

Two heads of the first layer look one token back; two heads of the second match the current
token with what those found and hand on the token that followed (arXiv 2209.11895 describes
the circuit in trained models). Nothing is fixed: every weight trains on as any other. It
spares the laptop the long plateau before a small transformer finds the circuit by itself.
"""

import torch
from torch import Tensor
from transformers import Qwen3ForCausalLM

PAIRED_HEADS = 2
GAIN = 1.5  # of the query and key norms: matches stand out of 200 other tokens
EMBEDDING_STD = 0.5
COMMON = 4.0  # length of the part that all embeddings share, in embedding standard deviations
COPY = 16.0  # gain of what is handed on, against the current token that stays in the stream
FAST_PAIRS = 2  # rotary pairs that tell neighbours apart


@torch.no_grad()
def rough_in_copying(model: Qwen3ForCausalLM, seed: int) -> None:
    """Set the first two layers' heads and the embeddings of `model` in place.

    A model with one layer, fewer heads with keys of their own, or a residual stream too narrow
    for what two heads carry is left as it is.
    """
    config = model.config
    d, width = config.hidden_size, config.head_dim
    narrow = d <= PAIRED_HEADS * width
    if narrow or config.num_hidden_layers < 2 or config.num_key_value_heads < PAIRED_HEADS:
        return
    draw = torch.Generator().manual_seed(seed)
    # One basis for what all tokens share, one direction a row for what tells them apart.
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
        part, drop = content[rows], landing[rows]  # [width, d]
        _look_back(previous, rows, common, frequency, part, drop)
        _match_and_copy(match, rows, part, drop)


def _look_back(
    attention: torch.nn.Module,
    rows: slice,
    common: Tensor,
    frequency: Tensor,
    part: Tensor,
    drop: Tensor,
) -> None:
    """Attend to the token before, by position alone, and put its `part` at `drop`."""
    width = rows.stop - rows.start
    half, pairs = width // 2, len(frequency)
    query, key = torch.zeros(width, len(common)), torch.zeros(width, len(common))
    query[:pairs] = common
    # A key turned by one position meets the query of the next position head on.
    key[:pairs] = torch.cos(frequency)[:, None] * common
    key[half : half + pairs] = torch.sin(frequency)[:, None] * common
    attention.q_proj.weight[rows], attention.k_proj.weight[rows] = query, key
    attention.v_proj.weight[rows], attention.o_proj.weight[:, rows] = part, drop.T


def _match_and_copy(attention: torch.nn.Module, rows: slice, part: Tensor, drop: Tensor) -> None:
    """Attend to where the token before is the current token; hand on the token there."""
    width, half = rows.stop - rows.start, (rows.stop - rows.start) // 2
    slow = half // 2  # rotary pairs from here on turn too slowly to disturb a match
    query, key = torch.zeros(width, part.shape[1]), torch.zeros(width, part.shape[1])
    for block in (0, half):
        taken = slice(block, block + slow)
        query[block + slow : block + half] = part[taken]
        key[block + slow : block + half] = drop[taken]
    attention.q_proj.weight[rows], attention.k_proj.weight[rows] = query, key
    attention.v_proj.weight[rows], attention.o_proj.weight[:, rows] = part, COPY * part.T
