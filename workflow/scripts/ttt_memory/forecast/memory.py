"""The long-term memory of one layer: a strategy's functions scanned over the chunks of a series.

For chunk i the memory is read in the state M_i that holds the chunks before it, then written
to M_{i+1} (Titans, arXiv 2501.00663, sections 3.1 and 3.2). What does not depend on the state
(keys, values, gates) is computed for all chunks at once, and so is every read, from the stacked
states; only the updates are sequential. Nothing is kept between calls: each series starts from
the learned start.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from . import network
from .config import MemoryConfig
from .network import State
from .strategy import Strategy


@dataclass(frozen=True)
class Scan:
    """What writing B series of n chunks of C tokens each left behind."""

    states: State  # before each chunk, [B * n, ...]
    final: State  # after the last chunk, [B, ...]
    keys: Tensor  # [B * n, C, K]
    values: Tensor  # [B * n, C, V]
    gates: State  # [B, n, ...]


class Memory(nn.Module):
    """A strategy bound to one layer. Strategies see it as their `memory` argument.

    For them: `emb_dim`, `hidden`, `depth` (sizes), `options` (the file's OPTIONS with the
    configured values) and `clip(gradient)`. Modules and parameters that `init_memory_state`
    sets as attributes are trained with the model; so is each tensor of the state it returns
    that is an `nn.Parameter`, the others are fixed starts.

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
        """A strategy without state remembers nothing; its layer then reads nothing."""
        return bool(self.names)

    def start(self, batch: int) -> State:
        """The state before the first sample, one row per series."""
        tensors = {name: getattr(self, f"start_{name}") for name in self.names}
        return {name: start.expand(batch, *start.shape[1:]) for name, start in tensors.items()}

    def scan(self, tokens: Tensor) -> Scan:
        """Write tokens [B, n, C, E] chunk by chunk, from the start."""
        batch, count = tokens.shape[:2]
        keys, values = self._pairs(tokens)
        gates = self._gates(tokens)
        steps = zip(
            keys.unflatten(0, (batch, count)).unbind(1),
            values.unflatten(0, (batch, count)).unbind(1),
            _unbind(gates, count),
            strict=True,
        )
        state, states = self.start(batch), []
        for chunk_keys, chunk_values, now in steps:
            states.append(state)
            surprise = self.strategy.call(
                "compute_surprise", self, state, chunk_keys, chunk_values, now
            )
            state = self.strategy.call("apply_update", self, state, surprise, now)
        stacked = {
            name: torch.stack([state[name] for state in states], 1).flatten(0, 1)
            for name in self.names
        }
        return Scan(stacked, state, keys, values, gates)

    def read(self, scan: Scan, tokens: Tensor) -> Tensor:
        """M_i(q) of tokens [B, n, C, E], each chunk in the state before it; [B, n, C, E]."""
        asked = self.query(tokens).flatten(0, 1)
        if self.strategy.has("compute_queries"):
            queries = self.strategy.call("compute_queries", self, asked)
        else:
            queries, _ = self.strategy.call("compute_keys_values", self, asked)
        return self.retrieve(scan.states, queries).view(tokens.shape)

    def retrieve(self, states: State, queries: Tensor) -> Tensor:
        """What `states` [B, ...] answer to queries [B, N, K]; [B, N, E]."""
        if self.strategy.has("retrieve"):
            return self.strategy.call("retrieve", self, states, queries)
        return network.forward(states, queries)

    def recall_error(self, scan: Scan) -> Tensor:
        """Mean squared error of each chunk's recall before it is written, [B * n]: whatever the
        strategy itself minimises.
        """
        recalled = self.retrieve(scan.states, scan.keys)
        return (recalled - scan.values).square().mean((1, 2))

    def clip(self, gradient: State) -> State:
        """`gradient` scaled, row by row, to a total norm of at most `inner_clip`."""
        if not self.inner_clip:
            return gradient
        rows = torch.cat([tensor.flatten(1) for tensor in gradient.values()], 1)
        square = rows.square().sum(1)
        scale = self.inner_clip * torch.rsqrt(square.clamp_min(self.inner_clip**2))
        return {
            name: tensor * scale.view(-1, *[1] * (tensor.dim() - 1))
            for name, tensor in gradient.items()
        }

    def _pairs(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B * n, C, ...]: a key with the value of the token after it, or both
        of one token. Before the first token stands a token of zeros.
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
                function, f"returned {type(start).__name__}, expected a dictionary of tensors"
            )
        for name, tensor in start.items():
            if not isinstance(tensor, Tensor) or not tensor.dim() or tensor.shape[0] != 1:
                found = list(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
                raise self.strategy.error(
                    function, f"{name!r} is {found}, expected a tensor [1, ...]"
                )


def _unbind(gates: State, count: int) -> list[State]:
    """The gates of each of `count` chunks."""
    parts = {name: gate.unbind(1) for name, gate in gates.items()}
    return [{name: part[chunk] for name, part in parts.items()} for chunk in range(count)]
