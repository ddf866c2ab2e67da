"""Time, peak memory, FLOPs and bytes of a function, and what the machine can do at best.

FLOPs are those of matrix products, convolutions and attention, a multiply-add counted as two.
Bytes are what eager execution moves: every operation reads its inputs and writes its outputs.
"""

import gc
import os
import random
import re
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from ..errors import UserError

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): sets the peak resident size to the present one


@dataclass(frozen=True)
class Count:
    """What a function computes and moves."""

    flops: int
    bytes: int


@dataclass(frozen=True)
class Ceilings:
    """The best of one device, measured or from a data sheet: FLOP/s by dtype name, bytes/s."""

    matmul: dict[str, float]
    copy: float

    def bound(self, count: Count, dtype: str) -> float:
        """Seconds below which `count` is not to be had: the roofline."""
        return max(count.flops / self.matmul[dtype], count.bytes / self.copy)


def synchronise(device: torch.device) -> None:
    """Wait for a GPU; a CPU is always done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(
    forms: Mapping[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Time every form once a round, after a round that does not count.

    Taken in turns, what else the machine does falls on all forms alike; in an order drawn anew for
    each round, so does what one form leaves to the next in caches and in the allocator.
    """
    found: dict[str, list[float]] = {name: [] for name in forms}
    order, draw = list(forms), random.Random(0)
    for turn in range(rounds + 1):
        draw.shuffle(order)
        for name in order:
            synchronise(device)
            started = time.perf_counter()
            forms[name]()
            synchronise(device)
            if turn:
                found[name].append(time.perf_counter() - started)
    return found


def ratio(times: list[float], base: list[float]) -> float:
    """Median over the rounds of `times` by `base`."""
    return statistics.median(t / b for t, b in zip(times, base, strict=True))


def peak_bytes(function: Callable[[], object], device: torch.device) -> int:
    """Most memory that `function` holds beyond what is held when it starts.

    On a GPU as its allocator counts; on a CPU the growth of the resident size, which is exact
    only in a process that has freed little before: see `in_child`.

    Raises:
        UserError: a CPU's is asked for where the system is not Linux.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    try:
        CLEAR.write_text(RESET_PEAK)
    except OSError as error:
        raise UserError(f"{CLEAR}: cannot reset the peak memory ({error}); needs Linux") from error
    before = _resident("VmRSS")
    function()
    return _resident("VmHWM") - before


def in_child(function: Callable[..., object], *args: object) -> object:
    """`function(*args)` in a fresh process, so that nothing freed before can be used again."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def _resident(key: str) -> int:
    return 1024 * int(re.search(rf"{key}:\s+(\d+) kB", STATUS.read_text())[1])


def ceilings(device: torch.device, dtypes: tuple[str, ...], size: int = 1024) -> Ceilings:
    """Products of `[size, size]` matrices of each dtype, and copies of 64 matrices of float32."""
    found = {}
    for name in dtypes:
        a = torch.randn(size, size, device=device).to(getattr(torch, name))
        best = min(seconds({"": partial(torch.mm, a, a)}, 10, device)[""])
        found[name] = 2 * size**3 / best
    source = torch.zeros(64, size, size, device=device)
    target = torch.empty_like(source)
    best = min(seconds({"": partial(target.copy_, source)}, 5, device)[""])
    return Ceilings(found, 2 * source.nbytes / best)


def machine(device: torch.device) -> str:
    """Device, threads and versions, in one line."""
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{os.cpu_count()} CPU cores, {torch.get_num_threads()} threads"
    )
    return f"{name}; torch {torch.__version__}"


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
