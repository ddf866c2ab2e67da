"""What is tried on random numbers before any work: a strategy's functions, a whole forecaster."""

import copy

import torch
from torch import Tensor, nn

from ..errors import UserError
from .config import ModelConfig
from .memory import Memory
from .network import State
from .strategy import Strategy

BATCH, TOKENS = 3, 5


def check(strategy: Strategy, config: ModelConfig) -> None:
    """Run every function of `strategy` once and check what it returns.

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
                    "series of a batch influence each other; keep dimension 0 apart",
                )


def check_forecaster(model: nn.Module, window: int, channels: int, label: str) -> None:
    """Try a forecaster of any kind: shape, finite values, gradients, and that it sees no future.

    Raises:
        UserError: in one line that begins with `label`.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        x = torch.randn(2, 3 * window + 2, channels).to(device)
        later = torch.randn_like(x)
    # A published memory remembers even what it is tried on.
    model = copy.deepcopy(model).eval()
    with torch.no_grad():
        before = model(x)
    if not isinstance(before, Tensor) or before.shape != x.shape[:2]:
        found = list(before.shape) if isinstance(before, Tensor) else type(before).__name__
        raise UserError(f"{label}: forecasts are {found}, expected {list(x.shape[:2])}")
    if not torch.isfinite(before).all():
        raise UserError(f"{label}: forecasts hold NaN or infinite values")
    if any(parameter.requires_grad for parameter in model.parameters()):
        _check_gradient(copy.deepcopy(model).train(), x, label)
    if getattr(model, "protocol", "strict") == "strict":
        _check_causal(model, window, x, later, label)


def _check_gradient(model: nn.Module, x: Tensor, label: str) -> None:
    """In training mode: an LSTM on a GPU has no gradient in the other."""
    try:
        model(x).square().mean().backward()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{label}: no gradient reaches its parameters ({reason})") from error


@torch.no_grad()
def _check_causal(model: nn.Module, window: int, x: Tensor, later: Tensor, label: str) -> None:
    """Other samples from t on must change no forecast that is made before t, but for rounding.

    Without gradients throughout: PyTorch has faster kernels for that, which round otherwise.
    """
    before = model(x)
    for t in (1, window // 2, window - 1, window, window + 1, 2 * window + window // 2, 3 * window):
        changed = torch.cat([x[:, :t], later[:, t:]], 1)
        wrong = ~torch.isclose(model(changed)[:, :t], before[:, :t], rtol=1e-5, atol=1e-6).all(0)
        if wrong.any():
            place = int(wrong.nonzero()[0])
            raise UserError(
                f"{label}: the forecast made at sample {place} changes with samples from {t} on;"
                " what is read (queries, retrieve) may not mix a token with those after it"
            )


def _remember(memory: Memory, x: Tensor) -> Tensor:
    """What is recalled for tokens [B, N, E] after writing them twice."""
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
        raise memory.strategy.error(function, "expected a pair (keys, values)")
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
            "retrieve", "is missing, and the state holds no network.start() to read instead"
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
        raise memory.strategy.error(function, f"{name} holds NaN or infinite values")
