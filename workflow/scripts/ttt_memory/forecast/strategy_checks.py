"""A strategy's functions, each called once on random numbers before the forecaster is built."""

import torch
from torch import Tensor

from .config import ModelConfig
from .model.memory import Memory
from .network import State
from .strategy import Strategy

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
        if not memory.enabled:
            return
        x = torch.randn(BATCH, TOKENS, config.width)
        together = _remember(memory, x)
        for row in range(BATCH):
            alone = _remember(memory, x[row : row + 1])
            if not torch.allclose(alone[0], together[row], atol=1e-4, rtol=1e-3):
                raise strategy.error(
                    "apply_update",
                    "the series of a batch influence each other; expected each row of dimension"
                    " 0 to depend on that row alone",
                )


def _remember(memory: Memory, x: Tensor) -> Tensor:
    """What the memory returns for tokens x [B, N, E] after they were written twice."""
    keys, values = _keys_values(memory, x)
    gates = _gates(memory, x)
    state = memory.start(len(x))
    for _ in range(2):
        state = _update(memory, state, keys, values, gates)
    return _retrieve(memory, state, x)


def _keys_values(memory: Memory, x: Tensor) -> tuple[Tensor, Tensor]:
    function = "compute_keys_values"
    pair = memory.strategy.call(function, memory, x)
    if not isinstance(pair, tuple) or len(pair) != 2:
        found = type(pair).__name__
        raise memory.strategy.error(function, f"returned {found}, expected a pair (keys, values)")
    for name, tensor in zip(("keys", "values"), pair, strict=True):
        _check_tensor(memory, function, name, tensor)
        if tensor.dim() != 3 or tensor.shape[:2] != x.shape[:2]:
            raise memory.strategy.error(
                function,
                f"{name} of x {list(x.shape)} are {list(tensor.shape)}, "
                f"expected [{x.shape[0]}, {x.shape[1]}, width]",
            )
    return pair


def _gates(memory: Memory, x: Tensor) -> State:
    if not memory.strategy.has("compute_gates"):
        return {}
    gates = memory.strategy.call("compute_gates", memory, x)
    _check_dictionary(memory, "compute_gates", gates)
    for name, gate in gates.items():
        if not gate.dim() or len(gate) != len(x):
            raise memory.strategy.error(
                "compute_gates", f"{name!r} is {list(gate.shape)}, expected [{len(x)}, ...]"
            )
    return gates


def _update(memory: Memory, state: State, keys: Tensor, values: Tensor, gates: State) -> State:
    surprise = memory.strategy.call("compute_surprise", memory, state, keys, values, gates)
    _check_dictionary(memory, "compute_surprise", surprise)
    function = "apply_update"
    new = memory.strategy.call(function, memory, state, surprise, gates)
    _check_dictionary(memory, function, new)
    shapes, wanted = ({n: list(t.shape) for n, t in s.items()} for s in (new, state))
    if shapes != wanted:
        raise memory.strategy.error(function, f"returned a state {shapes}, expected {wanted}")
    return new


def _retrieve(memory: Memory, state: State, x: Tensor) -> Tensor:
    if memory.strategy.has("compute_queries"):
        queries = memory.strategy.call("compute_queries", memory, x)
        _check_tensor(memory, "compute_queries", "queries", queries)
    else:
        queries = _keys_values(memory, x)[0]
    if not memory.strategy.has("retrieve") and "weight0" not in state:
        raise memory.strategy.error(
            "retrieve", "is missing, and the state has no weights of network.start() to read"
        )
    found = memory.retrieve(state, queries)
    _check_tensor(memory, "retrieve", "result", found)
    if found.shape != x.shape:
        raise memory.strategy.error(
            "retrieve", f"returned {list(found.shape)}, expected {list(x.shape)}"
        )
    return found


def _check_dictionary(memory: Memory, function: str, found: object) -> None:
    if not isinstance(found, dict):
        raise memory.strategy.error(
            function, f"returned {type(found).__name__}, expected a dictionary of tensors"
        )
    for name, tensor in found.items():
        _check_tensor(memory, function, repr(name), tensor)


def _check_tensor(memory: Memory, function: str, name: str, tensor: object) -> None:
    if not isinstance(tensor, Tensor):
        raise memory.strategy.error(
            function, f"{name} is {type(tensor).__name__}, expected a tensor"
        )
    if not torch.isfinite(tensor).all():
        raise memory.strategy.error(
            function, f"{name} holds NaN or infinite values, expected finite ones"
        )
