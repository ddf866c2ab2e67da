"""Matrix products of fast weights that keep float32's precision.

On a GPU, PyTorch may be told to multiply in TF32, which rounds each factor to ten bits after the
point. A product whose terms nearly cancel loses too much by that. Here such a product is taken as
the sum of three products of halves, which TF32 does not round.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


def full_precision(t: Tensor) -> torch.autocast:
    """A context without autocast on t's device: sums are taken in the state's own dtype."""
    return torch.autocast(t.device.type, enabled=False)


def at_least_float32(t: Tensor) -> Tensor:
    """t, in float32 if its type has fewer bits: solvers take no half precision."""
    return t.to(torch.promote_types(t.dtype, torch.float32))


def product(a: Tensor, b: Tensor) -> Tensor:
    """The product of `[B, m, n]` and `[B, n, p]` in full float32 precision, also under TF32."""
    return Product.apply(a, b) if rounds(a) else torch.bmm(a, b)


class Product(torch.autograd.Function):
    """`product` under TF32; its gradients are taken with the same precision."""

    @staticmethod
    def forward(ctx: FunctionCtx, a: Tensor, b: Tensor) -> Tensor:
        """The product a b."""
        ctx.save_for_backward(a, b)
        return plain_product(a, b)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Of a, g b^T; of b, a^T g."""
        a, b = ctx.saved_tensors
        return plain_product(gradient, b.mT), plain_product(a.mT, gradient)


def plain_product(a: Tensor, b: Tensor) -> Tensor:
    """`product` without a gradient of its own, for use inside an `autograd.Function`."""
    if not rounds(a):
        return torch.bmm(a, b)
    high_a, high_b = _ten_bits(a), _ten_bits(b)
    small = torch.bmm(a - high_a, high_b) + torch.bmm(high_a, b - high_b)
    return small + torch.bmm(high_a, high_b)


def rounds(t: Tensor) -> bool:
    """Whether PyTorch is told to multiply t's dtype in TF32, by its new or its old setting."""
    settings = (torch.backends.cuda.matmul.fp32_precision, torch.backends.fp32_precision)
    chosen = next((setting for setting in settings if setting != "none"), "ieee")
    return t.dtype == torch.float32 and chosen == "tf32"


def _ten_bits(t: Tensor) -> Tensor:
    """The part of t that TF32 holds exactly; what is left out has at most thirteen bits."""
    return (t.contiguous().view(torch.int32) & -(2**13)).view(torch.float32)
