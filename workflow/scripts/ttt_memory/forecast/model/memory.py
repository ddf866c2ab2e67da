"""The memory of one layer: it applies a strategy's functions to the chunks of a series.

Chunk i is read in the state M_i, which holds the chunks before it; then writing the chunk gives
M_{i+1} (Titans, arXiv 2501.00663, sections 3.1 and 3.2). Only the updates are sequential. Keys,
values and gates do not depend on the state and are computed for all chunks at once; so are all
reads, from the stacked states. Each series starts from the learned start, and no state is kept
from one call to the next.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .. import network
from ..config import MemoryConfig
from ..network import State
from ..strategy import Strategy
from ..strategy_file import GUIDE


@dataclass(frozen=True)
class Scan:
    """What is known after B series of n chunks of C tokens each were written."""

    states: State  # before each chunk, [B * n, ...]
    keys: Tensor  # [B * n, C, K]
    values: Tensor  # [B * n, C, V]
    gates: State  # [B, n, ...]


class Memory(nn.Module):
    """A strategy bound to one layer; strategy functions receive it as their argument `memory`.

    They may use `emb_dim`, `hidden`, `depth` (sizes), `options` (the file's OPTIONS with the
    configured values) and `clip(gradient)`. Modules and parameters that `init_memory_state` sets
    as attributes are trained with the model. So is each `nn.Parameter` in the state that it
    returns; other tensors of the state are fixed starts.

    Raises:
        UserError: the strategy's start is not a dictionary of tensors [1, ...].
    """

    def __init__(self, strategy: Strategy, emb_dim: int, config: MemoryConfig):
        super().__init__()
        self.strategy = strategy
        self.options = strategy.options
        self.emb_dim, self.hidden, self.depth = emb_dim, config.hidden, config.depth
        self.association, self.inner_clip = config.association, config.inner_clip
        start = strategy.call("init_memory_state", self, emb_dim)
        self._check_start(start)
        self.names = list(start)
        for name, tensor in start.items():
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(f"start_{name}", tensor)
            else:
                self.register_buffer(f"start_{name}", tensor, persistent=False)
        if self.enabled:
            self.query = nn.Linear(emb_dim, emb_dim, bias=False)
            nn.init.eye_(self.query.weight)

    @property
    def enabled(self) -> bool:
        """False for a strategy without state: its layer has no memory to read."""
        return bool(self.names)

    def start(self, batch: int) -> State:
        """The state before the first sample, [batch, ...]: one row per series."""
        tensors = {name: getattr(self, f"start_{name}") for name in self.names}
        return {name: start.expand(batch, *start.shape[1:]) for name, start in tensors.items()}

    def scan(self, tokens: Tensor) -> Scan:
        """Write tokens [B, n, C, E] chunk by chunk, beginning at the start state."""
        keys, values, gates = self.prepare(tokens)
        states = write(self.strategy, self, self.start(len(tokens)), keys, values, gates)
        return Scan(states, keys, values, gates)

    def prepare(self, tokens: Tensor) -> tuple[Tensor, Tensor, State]:
        """Keys and values [B * n, C, ...] and gates [B, n, ...] of tokens [B, n, C, E]."""
        keys, values = self._pairs(tokens)
        return keys, values, self._gates(tokens)

    def read(self, states: State, tokens: Tensor) -> Tensor:
        """Read tokens [B, n, C, E], chunk i in the state M_i of `states` [B * n, ...]."""
        asked = self.query(tokens).flatten(0, 1)
        if self.strategy.has("compute_queries"):
            queries = self.strategy.call("compute_queries", self, asked)
        else:
            queries, _ = self.strategy.call("compute_keys_values", self, asked)
        return self.retrieve(states, queries).view(tokens.shape)

    def retrieve(self, states: State, queries: Tensor) -> Tensor:
        """What the memory in `states` [B, ...] returns for queries [B, N, K]: [B, N, E]."""
        if self.strategy.has("retrieve"):
            return self.strategy.call("retrieve", self, states, queries)
        return network.forward(states, queries)

    def recall_error(self, scan: Scan) -> Tensor:
        """Mean squared error of what is recalled for each chunk before it is written, [B * n].

        It is the same measure for every strategy, whatever the strategy itself minimises.
        """
        recalled = self.retrieve(scan.states, scan.keys)
        return (recalled - scan.values).square().mean((1, 2))

    def clip(self, gradient: State) -> State:
        """`gradient` {name: [B, ...]} scaled to a norm of at most `inner_clip` for each series.

        The norm is taken over all tensors together. With `inner_clip` 0 nothing is scaled.
        """
        return network.clip(gradient, self.inner_clip)

    def _pairs(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B * n, C, ...] of tokens [B, n, C, E].

        With `association: next`, the value of a token is stored under the key of the token before
        it; the first token's value under the key of a token of zeros. Otherwise both are of one
        token.
        """
        flat = tokens.flatten(0, 1)
        keys, values = self.strategy.call("compute_keys_values", self, flat)
        if self.association == "next":
            series = tokens.flatten(1, 2)
            before = torch.cat([torch.zeros_like(series[:, :1]), series[:, :-1]], 1)
            before = before.reshape(flat.shape)
            keys, _ = self.strategy.call("compute_keys_values", self, before)
        return keys, values

    def _gates(self, tokens: Tensor) -> State:
        if not self.strategy.has("compute_gates"):
            return {}
        gates = self.strategy.call("compute_gates", self, tokens.flatten(0, 1))
        return {name: gate.unflatten(0, tokens.shape[:2]) for name, gate in gates.items()}

    def _check_start(self, start: object) -> None:
        function = "init_memory_state"
        if not isinstance(start, dict):
            raise self.strategy.error(
                function,
                f"returned {type(start).__name__}, expected a dictionary of tensors [1, ...], the"
                f" state of one series: see {GUIDE}",
            )
        for name, tensor in start.items():
            if not isinstance(tensor, Tensor) or not tensor.dim() or tensor.shape[0] != 1:
                found = list(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
                raise self.strategy.error(
                    function,
                    f"{name!r} is {found}, expected a tensor [1, ...], whose dimension 0 becomes"
                    f" that of the series: see {GUIDE}",
                )


def write(
    strategy: Strategy, memory: object, start: State, keys: Tensor, values: Tensor, gates: State
) -> State:
    """The states before each of n chunks, [B * n, ...]; the only loop over time.

    Args:
        strategy: its functions `compute_surprise` and `apply_update` write a chunk.
        memory: what these functions are given as `memory`.
        start: the state before the first chunk, [B, ...].
        keys: of all chunks, [B * n, C, K].
        values: [B * n, C, V].
        gates: [B, n, ...].
    """
    batch = len(next(iter(start.values())))
    count = len(keys) // batch
    chunks = zip(
        keys.unflatten(0, (batch, count)).unbind(1),
        values.unflatten(0, (batch, count)).unbind(1),
        _unbind(gates, count),
        strict=True,
    )
    states = [start]
    # The last chunk is not written, because nothing reads the memory after it.
    for keys, values, gates in itertools.islice(chunks, count - 1):
        surprise = strategy.call("compute_surprise", memory, states[-1], keys, values, gates)
        states.append(strategy.call("apply_update", memory, states[-1], surprise, gates))
    return {name: torch.stack([state[name] for state in states], 1).flatten(0, 1) for name in start}


def _unbind(gates: State, count: int) -> list[State]:
    """The gates [B, n, ...] as one dictionary of [B, ...] for each of `count` chunks."""
    parts = {name: gate.unbind(1) for name, gate in gates.items()}
    return [{name: part[chunk] for name, part in parts.items()} for chunk in range(count)]
