"""FLOPs and bytes of a function, counted while it runs.

FLOPs are those of matrix products, convolutions and attention; a multiply-add counts as two. Bytes
are what eager execution moves: every operation reads its inputs and writes its outputs.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from .roofline import Count


def count(function: Callable[[], object]) -> Count:
    """Run `function` once and count."""
    traffic = _Traffic()
    with FlopCounterMode(display=False, custom_mapping=_FORMULAS) as flops, traffic:
        function()
    return Count(flops.get_total_flops(), traffic.bytes)


class _Traffic(TorchDispatchMode):
    """Sums the bytes of inputs and outputs of every operation that is no view."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        out = func(*args, **(kwargs or {}))
        aliases = [r.alias_info for r in func._schema.returns]
        if not any(a is not None and not a.is_write for a in aliases):
            leaves = pytree.tree_leaves((args, kwargs, out))
            self.bytes += sum(leaf.nbytes for leaf in leaves if isinstance(leaf, Tensor))
        return out


def _solve(a: tuple, b: tuple, *args: object, out_shape: object = None, **kwargs: object) -> int:
    """Forward substitution: n multiply-adds for half of the entries of a, and each column of b."""
    *batch, n, columns = b
    return n * n * columns * torch.Size(batch).numel()


def _cholesky(a: tuple, *args: object, out_shape: object = None, **kwargs: object) -> int:
    """A multiply-add for a sixth of n^3."""
    *batch, n, _ = a
    return n**3 // 3 * torch.Size(batch).numel()


def _cholesky_solve(
    b: tuple, a: tuple, *args: object, out_shape: object = None, **kwargs: object
) -> int:
    """Two substitutions."""
    return 2 * _solve(a, b)


def _heads_of(q: tuple, kv: tuple) -> tuple:
    """Shared keys or values as often as they are used: PyTorch before 2.13 counts none."""
    return (kv[0], q[1], *kv[2:])


def _attention(q: tuple, k: tuple, v: tuple, *args: object, **kwargs: object) -> int:
    return sdpa_flop_count(q, _heads_of(q, k), _heads_of(q, v))


def _attention_backward(
    grad: tuple, q: tuple, k: tuple, v: tuple, *args: object, **kwargs: object
) -> int:
    return sdpa_backward_flop_count(grad, q, _heads_of(q, k), _heads_of(q, v))


_aten = torch.ops.aten
_KINDS = ("flash_attention_for_cpu", "flash_attention", "efficient_attention", "cudnn_attention")
# What PyTorch's counter does not know, in all its versions.
_FORMULAS = {
    _aten.linalg_solve_triangular: _solve,
    _aten.linalg_cholesky_ex: _cholesky,
    _aten.cholesky_solve: _cholesky_solve,
    **{getattr(_aten, f"_scaled_dot_product_{kind}"): _attention for kind in _KINDS},
    **{
        getattr(_aten, f"_scaled_dot_product_{kind}_backward"): _attention_backward
        for kind in _KINDS
    },
}
