"""The linear algebra of a memory by least squares (MesaNet, arXiv 2506.05233).

dW minimises sum_t s_t ||v_t - dW k_t||^2 + ||dW||^2 over all tokens written. With K keys, V values
and S the diagonal of the counts s_t that is, in as many unknowns as there are tokens or as ff:

    dW = U^T K,  (S^-1 + K K^T) U = V              `Factors`
    dW = (V^T S K) (1 + K^T S K)^-1                `Sums` and `Solution`

Where products round their factors, as TF32 does, it matters what is rounded. Sums are of S^1/2 K
and S^1/2 V, each made once: they are then the sums of tokens a little off, where S K rounded in one
place and K in another would be those of no tokens at all. And U, whose rows nearly cancel where
keys are alike, is never rounded: `product`.

All by Cholesky: an LU of many threads in a batch fails in oneMKL 2024.2.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

SOLVABLE = 0.99  # a token counts at most 1 / (1 - 0.99) times as much as keeping dW small


def counts(strength: Tensor) -> Tensor:
    """How much a token of strength s in [0, 1] counts: s / (1 - s), as far as float32 can solve.

    A key that is like no other then recalls s / (1 + s / 100) of its value, about its strength.
    """
    return strength / (1 - SOLVABLE * strength)


class Factors(torch.autograd.Function):
    """U `[B, n, d]` = (S^-1 + G)^-1 V for G = K K^T `[B, n, n]`, the diagonal s of S `[B, n]`, V.

    By the Cholesky factor of 1 + S^1/2 G S^1/2. Automatic differentiation gives NaN at the root of
    an s of zero, a token that is not written, whose gradient says whether it should be.
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
        """With M = (S^-1 + G)^-1: of V, M g; of G, -M g U^T; of s, (g - G M g) (V - G U) by row."""
        gram, root, factor, values, solved = ctx.saved_tensors
        back = torch.cholesky_solve(root * gradient, factor).mul_(root)
        by_count = (gradient - _product(gram, back)) * (values - _product(gram, solved))
        return -_product(back, solved.mT), by_count.sum(-1), back


class Sums(torch.autograd.Function):
    """V^T S K `[B, d, ff]` and K^T S K `[B, ff, ff]` of keys `[B, n, ff]`, values, counts `[B, n]`.

    Automatic differentiation would give NaN at a count of zero, as above.
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
        return by_value.mT.contiguous(), gram.contiguous()  # neither keeps the other

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, by_sum: Tensor, by_gram: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of k, s (G + G^T) k + s g^T v; of v, s g k; of s, k^T G k + v^T g k."""
        keys, values, counts = ctx.saved_tensors
        each = counts[..., None]
        turned, recalled = keys @ (by_gram + by_gram.mT), keys @ by_sum.mT
        by_count = (keys * turned).sum(-1) / 2 + (values * recalled).sum(-1)
        return each * (turned + values @ by_sum), each * recalled, by_count


class Solution(torch.autograd.Function):
    """dW `[B, d, ff]` = P (1 + A)^-1 for the sums P `[B, d, ff]` and A `[B, ff, ff]`."""

    @staticmethod
    def forward(ctx: FunctionCtx, sums: Tensor, gram: Tensor) -> Tensor:
        """The memory."""
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


def product(a: Tensor, b: Tensor) -> Tensor:
    """The product of `[B, m, n]` and `[B, n, p]`, unrounded whatever PyTorch is told to do."""
    return Product.apply(a, b) if _rounds(a) else torch.bmm(a, b)


class Product(torch.autograd.Function):
    """The product as the sum of three of halves, which TF32 does not round; gradients alike."""

    @staticmethod
    def forward(ctx: FunctionCtx, a: Tensor, b: Tensor) -> Tensor:
        """The product."""
        ctx.save_for_backward(a, b)
        return _product(a, b)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Of a, g b^T; of b, a^T g."""
        a, b = ctx.saved_tensors
        return _product(gradient, b.mT), _product(a.mT, gradient)


def _product(a: Tensor, b: Tensor) -> Tensor:
    if not _rounds(a):
        return torch.bmm(a, b)
    high_a, high_b = _ten_bits(a), _ten_bits(b)
    small = torch.bmm(a - high_a, high_b) + torch.bmm(high_a, b - high_b)
    return small + torch.bmm(high_a, high_b)


def _rounds(t: Tensor) -> bool:
    """Whether a GPU rounds factors, by whichever of its two ways PyTorch was told."""
    settings = (torch.backends.cuda.matmul.fp32_precision, torch.backends.fp32_precision)
    chosen = next((setting for setting in settings if setting != "none"), "ieee")
    return t.dtype == torch.float32 and chosen == "tf32"


def _ten_bits(t: Tensor) -> Tensor:
    """As TF32 holds t, cut: what is left out has at most thirteen bits."""
    return (t.contiguous().view(torch.int32) & -(2**13)).view(torch.float32)


def _cholesky(gram: Tensor) -> Tensor:
    """Cholesky factor of 1 + gram, which is overwritten; NaN where rounding left no such factor."""
    gram.diagonal(dim1=-2, dim2=-1).add_(1)
    factor, failed = torch.linalg.cholesky_ex(gram)
    return factor.masked_fill_(failed[:, None, None] > 0, torch.nan)
