"""The linear algebra of fast weights by least squares (MesaNet, arXiv 2506.05233).

dW minimises sum_t c_t ||v_t - dW k_t||^2 + ||dW||^2 over all tokens written. With K keys, V values
and C the diagonal of the counts c_t, dW has two forms; the first has as many unknowns as there are
tokens, the second ff:

    dW = U^T K,  (C^-1 + K K^T) U = V              `Factors`
    dW = (V^T C K) (1 + K^T C K)^-1                `Sums` and `Solution`

TF32 rounds the factors of a float32 product, so G is made of K and K, and only then multiplied by
C^1/2. Rounded, it is still the Gram matrix of tokens, whose keys are a little off. A product of C K
with K would not be: C K is rounded differently from K. The rows of U nearly cancel where keys are
alike, so a product with U is never rounded (`products.product`). `MesaState` takes the sums in
float64, which nothing rounds.

Every system is solved by Cholesky: a batched LU with several threads fails in oneMKL 2024.2.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from .products import plain_product

# The smallest factor on ||dW||^2 that the ages of texts lead to: below it float32 cannot tell two
# similar keys of the latest text from one.
LEAST_RIDGE = 1e-3
SOLVABLE = 0.99  # a token's error weighs at most 1 / (1 - 0.99) times as much as the norm of dW


def counts(strength: Tensor) -> Tensor:
    """The weight of a token of strength s in [0, 1] in the least squares: s / (1 - 0.99 s).

    Without the 0.99 it would be s / (1 - s), which grows beyond what float32 can solve. For an
    isolated key, the fraction of its value that is returned is then s / (1 + s / 100).
    """
    return strength / (1 - SOLVABLE * strength)


class Factors(torch.autograd.Function):
    """U `[B, n, d]` = (C^-1 + G)^-1 V for G = K K^T `[B, n, n]`, the counts c `[B, n]`, and V.

    Solved by the Cholesky factor of 1 + C^1/2 G C^1/2. The backward pass is written by hand because
    automatic differentiation gives NaN at the square root of c = 0, a token that is not written;
    its gradient says whether it should be.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, gram: Tensor, counts: Tensor, values: Tensor) -> Tensor:
        """The factors."""
        root = counts.sqrt()[..., None]
        factor = _cholesky((root * gram).mul_(root.mT))
        solved = torch.cholesky_solve(root * values, factor).mul_(root)
        ctx.save_for_backward(gram, root, factor, values, solved)
        return solved

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """With M = (C^-1 + G)^-1: of V, M g; of G, -M g U^T; of c, (g - G M g) (V - G U) by row."""
        gram, root, factor, values, solved = ctx.saved_tensors
        back = torch.cholesky_solve(root * gradient, factor).mul_(root)
        by_count = (gradient - plain_product(gram, back)) * (values - plain_product(gram, solved))
        return -plain_product(back, solved.mT), by_count.sum(-1), back


class Sums(torch.autograd.Function):
    """V^T C K `[B, d, ff]` and K^T C K `[B, ff, ff]` of keys `[B, n, ff]`, values, counts `[B, n]`.

    The backward pass is written by hand for the same reason as that of `Factors`.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, keys: Tensor, values: Tensor, counts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Both sums."""
        ctx.save_for_backward(keys, values, counts)
        root = counts.sqrt()[..., None]
        rooted = root * keys
        sums = rooted.mT @ torch.cat([root * values, rooted], -1)
        by_value, gram = sums.split([values.shape[-1], keys.shape[-1]], -1)
        return by_value.mT.contiguous(), gram.contiguous()  # copies: a view would keep both alive

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, by_sum: Tensor, by_gram: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of k, c (G + G^T) k + c g^T v; of v, c g k; of c, k^T G k + v^T g k."""
        keys, values, counts = ctx.saved_tensors
        each = counts[..., None]
        turned, recalled = keys @ (by_gram + by_gram.mT), keys @ by_sum.mT
        by_count = (keys * turned).sum(-1) / 2 + (values * recalled).sum(-1)
        return each * (turned + values @ by_sum), each * recalled, by_count


class Solution(torch.autograd.Function):
    """dW `[B, d, ff]` = P (1 + A)^-1 for the sums P `[B, d, ff]` and A `[B, ff, ff]`."""

    @staticmethod
    def forward(ctx: FunctionCtx, sums: Tensor, gram: Tensor) -> Tensor:
        """The solution dW."""
        factor = _cholesky(gram.clone())
        solved = torch.cholesky_solve(sums.mT, factor)
        ctx.save_for_backward(factor, solved)
        return solved.mT

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Of P, g (1 + A)^-1 =: h; of A, -h^T dW."""
        factor, solved = ctx.saved_tensors
        back = torch.cholesky_solve(gradient.mT, factor)
        return back.mT, -back @ solved.mT


def _cholesky(gram: Tensor) -> Tensor:
    """Cholesky factor of 1 + gram (overwritten); NaN where rounding made it not positive."""
    gram.diagonal(dim1=-2, dim2=-1).add_(1)
    factor, failed = torch.linalg.cholesky_ex(gram)
    return factor.masked_fill_(failed[:, None, None] > 0, torch.nan)
