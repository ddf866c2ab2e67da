"""The write of one layer by least squares over all tokens (MesaNet, arXiv 2506.05233).

dW minimises sum_t s_t ||v_t - dW k_t||^2 + ||dW||^2 over all tokens written. With K keys, V values
and S the diagonal of the s_t, the factored form solves for all its tokens, on top of a dense part
what it lacks is added:

    dW = U^T K,  (S^-1 + K K^T) U = V            factored
    dW <- dW + (V - K dW^T)^T S K (1 + A)^-1     dense, A = sum of s k k^T over all tokens
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from .state import LayerState

SOLVABLE = 0.99  # a token counts at most 1 / (1 - 0.99) times as much as keeping dW small


def write(
    memory: LayerState,
    keys: Tensor,
    values: Tensor,
    strength: Tensor,
    readers: tuple[Tensor, Tensor, int] | None,
) -> tuple[Tensor | None, LayerState]:
    """Write n packed tokens into `memory`, which is not changed.

    Args:
        memory: the state before.
        keys: `[B, n, ff]`, of length one: float32 cannot solve for longer ones.
        values: `[B, n, d]`.
        strength: `[B, n]` in [0, 1], 0 for what is not written. A key that is like no other recalls
            s / (1 + s) of its value: its strength, but for an s that float32 can solve.
        readers: z `[B, T, ff]`, the chunk `[B, T]` that each reads in, and tokens in a chunk: then
            chunk after chunk is written, else all at once.

    Returns:
        What z reads from the memory before its chunk, `[B, T, d]`, or None; the memory afterwards.
    """
    counts = strength / (1 - SOLVABLE * strength)
    if readers is None:
        return None, _written(memory, keys, values, counts)
    z, reads_in, size = readers
    read = memory.recall(z)
    for chunk, start in enumerate(range(0, keys.shape[1], size)):
        cut = slice(start, start + size)
        memory = _written(memory, keys[:, cut], values[:, cut], counts[:, cut])
        read = torch.where(reads_in[..., None] > chunk, memory.recall(z), read)
    return read, memory


def _written(memory: LayerState, keys: Tensor, values: Tensor, counts: Tensor) -> LayerState:
    """The memory with the given tokens, whose s are `counts` `[B, n]`."""
    if not keys.shape[1]:
        return memory
    if len(memory.dense) or memory.counts.shape[1] < memory.keys.shape[1]:
        memory = memory.fold()
        grown = replace(memory, keys=keys, counts=counts).to_gram()
        error = counts[..., None] * (values - keys @ memory.dense.mT)
        change = torch.cholesky_solve(keys.mT @ error, cholesky(grown))
        return replace(memory, dense=memory.dense + change.mT, gram=grown)
    keys, wanted = torch.cat([memory.keys, keys], 1), torch.cat([memory.wanted, values], 1)
    counts = torch.cat([memory.counts, counts], 1)
    values = Weighed.apply(keys @ keys.mT, counts, wanted)
    return replace(memory, keys=keys, values=values, wanted=wanted, counts=counts)


class Weighed(torch.autograd.Function):
    """U `[B, n, d]` = (S^-1 + G)^-1 V for G `[B, n, n]`, the diagonal s of S `[B, n]`, V.

    By the Cholesky factor of 1 + S^1/2 G S^1/2. Automatic differentiation gives NaN at the root of
    an s of zero, a token that is not written, whose gradient says whether it should be; and an LU
    of many threads in a batch fails in oneMKL 2024.2.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, gram: Tensor, counts: Tensor, wanted: Tensor) -> Tensor:
        """U."""
        root = counts.sqrt()[..., None]
        factor = cholesky(root * gram * root.mT)
        solved = root * torch.cholesky_solve(root * wanted, factor)
        ctx.save_for_backward(gram, root, factor, wanted, solved)
        return solved

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """With M = (S^-1 + G)^-1: of V, M g; of G, -M g U^T; of s, (g - G M g) (V - G U) by row."""
        gram, root, factor, wanted, solved = ctx.saved_tensors
        back = root * torch.cholesky_solve(root * gradient, factor)
        by_count = (gradient - gram @ back) * (wanted - gram @ solved)
        return -back @ solved.mT, by_count.sum(-1), back


def cholesky(gram: Tensor) -> Tensor:
    """Cholesky factor of 1 + gram; NaN where rounding left no such factor."""
    one = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    factor, failed = torch.linalg.cholesky_ex(gram + one)
    return factor.masked_fill(failed[:, None, None] > 0, torch.nan)
