"""A strategy's functions, called on random numbers one by one before the forecaster is built."""

from dataclasses import replace

import torch
from torch import Tensor

from .config import MemoryConfig, ModelConfig
from .model.memory import Memory
from .network import State
from .strategy import Strategy
from .strategy_calls import check_finite_gradient, checked
from .strategy_file import GUIDE

BATCH, TOKENS = 3, 5


def check(strategy: Strategy, config: ModelConfig) -> None:
    """Call every function of `strategy` and check what it returns.

    The CPU's random state is left as it was.

    Raises:
        UserError: names strategy, file, function, what it returned and what was expected.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        memory = Memory(strategy, config.width, config.memory)
        x = torch.randn(BATCH, TOKENS, config.width)
        if not memory.enabled:
            _check_switched_off(memory, config.memory, x)
            return
        keys, values = _keys_values(memory, x)
        if memory.association == "next":
            # The value of a series' first token is stored under the key of a token of zeros.
            _check_first_key(memory, torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:]], 1))
        gates = _gates(memory, x)
        state = memory.start(BATCH)
        for _ in range(2):
            state = _update(memory, state, keys, values, gates)
        _retrieve(memory, state, x, keys)


def _check_switched_off(memory: Memory, config: MemoryConfig, x: Tensor) -> None:
    """Without a state nothing may be written: another state than an empty one is a mistake."""
    nothing = replace(memory.strategy, functions={"init_memory_state": lambda memory, emb_dim: {}})
    bare = Memory(nothing, memory.emb_dim, config)
    set_by_init = _attributes(memory) - _attributes(bare)
    keys, values = memory.strategy.call("compute_keys_values", memory, x)
    if set_by_init:
        names = ", ".join(f"memory.{name}" for name in sorted(set_by_init))
        raise memory.strategy.error(
            "init_memory_state",
            f"returned no state, which switches the memory off, and set {names}; expected the state"
            f" as {{name: tensor [1, ...]}}, or nothing set: see {GUIDE}",
        )
    arguments = {"compute_surprise": ({}, keys, values, {}), "apply_update": ({}, {}, {})}
    for function, given in arguments.items():
        found = memory.strategy.call(function, memory, *given)
        if not isinstance(found, dict) or found:
            raise memory.strategy.error(
                function,
                f"returned {_told(found)} although init_memory_state returned no state, which"
                f" switches the memory off; expected an empty dictionary: see {GUIDE}",
            )


def _attributes(memory: Memory) -> set[str]:
    named = (memory._parameters, memory._buffers, memory._modules)
    return set(vars(memory)).union(*named)


def _keys_values(memory: Memory, x: Tensor) -> tuple[Tensor, Tensor]:
    function = "compute_keys_values"

    def expect(pair: object) -> None:
        if not isinstance(pair, tuple) or len(pair) != 2:
            found = type(pair).__name__
            raise memory.strategy.error(
                function, f"returned {found}, expected a pair (keys, values)"
            )
        for name, tensor in zip(("keys", "values"), pair, strict=True):
            _check_tensor(memory, function, name, tensor)
            if tensor.dim() != 3 or tensor.shape[:2] != x.shape[:2]:
                raise memory.strategy.error(
                    function,
                    f"{name} of x {list(x.shape)} are {list(tensor.shape)}, "
                    f"expected [{x.shape[0]}, {x.shape[1]}, width]",
                )

    return checked(memory, function, expect, x=x)


def _check_first_key(memory: Memory, x: Tensor) -> None:
    function = "compute_keys_values"
    with torch.enable_grad():
        x = x.clone().requires_grad_()
        keys, _ = memory.strategy.call(function, memory, x)
        _check_tensor(memory, function, "the key of a token of zeros", keys)
        if keys.requires_grad:
            check_finite_gradient(memory, function, [keys], {"a token of zeros": [x]})


def _gates(memory: Memory, x: Tensor) -> State:
    function = "compute_gates"
    if not memory.strategy.has(function):
        return {}

    def expect(gates: object) -> None:
        _check_dictionary(memory, function, gates)
        _check_rows_of(memory, function, gates, len(x))

    return checked(memory, function, expect, x=x)


def _update(memory: Memory, state: State, keys: Tensor, values: Tensor, gates: State) -> State:
    def expect_surprise(surprise: object) -> None:
        _check_dictionary(memory, "compute_surprise", surprise)
        _check_rows_of(memory, "compute_surprise", surprise, BATCH)

    def expect_state(new: object) -> None:
        _check_dictionary(memory, "apply_update", new)
        shapes, wanted = ({n: list(t.shape) for n, t in s.items()} for s in (new, state))
        if shapes != wanted:
            raise memory.strategy.error(
                "apply_update", f"returned a state {shapes}, expected {wanted}"
            )

    written = {"keys": keys, "values": values, "gates": gates}
    surprise = checked(memory, "compute_surprise", expect_surprise, state=state, **written)
    update = {"surprise": surprise, "gates": gates}
    return checked(memory, "apply_update", expect_state, state=state, **update)


def _retrieve(memory: Memory, state: State, x: Tensor, keys: Tensor) -> None:
    queries = keys
    if memory.strategy.has("compute_queries"):
        queries = checked(
            memory,
            "compute_queries",
            lambda found: _check_tensor(memory, "compute_queries", "queries", found),
            x=x,
        )
    if not memory.strategy.has("retrieve"):
        if "weight0" not in state:
            raise memory.strategy.error(
                "retrieve", "is missing, and the state has no weights of network.start() to read"
            )
        return

    def expect(found: object) -> None:
        _check_tensor(memory, "retrieve", "result", found)
        if found.shape != x.shape:
            raise memory.strategy.error(
                "retrieve", f"returned {list(found.shape)}, expected {list(x.shape)}"
            )

    checked(memory, "retrieve", expect, state=state, queries=queries)


def _check_dictionary(memory: Memory, function: str, found: object) -> None:
    if not isinstance(found, dict):
        raise memory.strategy.error(
            function, f"returned {_told(found)}, expected a dictionary of tensors"
        )
    for name, tensor in found.items():
        _check_tensor(memory, function, repr(name), tensor)


def _check_rows_of(memory: Memory, function: str, found: State, rows: int) -> None:
    for name, tensor in found.items():
        if not tensor.dim() or len(tensor) != rows:
            raise memory.strategy.error(
                function,
                f"{name!r} is {list(tensor.shape)}, expected [{rows}, ...]: a row for each series",
            )


def _check_tensor(memory: Memory, function: str, name: str, tensor: object) -> None:
    if not isinstance(tensor, Tensor):
        raise memory.strategy.error(
            function, f"{name} is {type(tensor).__name__}, expected a tensor"
        )
    if not torch.isfinite(tensor).all():
        raise memory.strategy.error(
            function, f"{name} holds NaN or infinite values, expected finite ones"
        )


def _told(found: object) -> str:
    """A result in words: a dictionary by its names, all else by its type."""
    return f"{sorted(map(str, found))}" if isinstance(found, dict) else type(found).__name__
