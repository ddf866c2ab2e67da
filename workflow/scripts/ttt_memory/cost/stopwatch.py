"""Time and peak RAM of a function, and the best that the machine can do, measured."""

import gc
import os
import random
import re
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from ..errors import UserError
from .roofline import Ceilings

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): sets the peak resident size to the present one


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
