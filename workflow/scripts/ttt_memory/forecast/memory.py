"""The long-term memory of one layer: a strategy's functions scanned over the chunks of a series.

For chunk i the memory is read in the state M_i that holds the chunks before it, then written
to M_{i+1}. Everything that does not depend on the state (keys, values, gates) is computed for
all chunks at once, and so is every read, from the stacked states; only the updates are
sequential. No state is kept between calls: each series starts from the learned start.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from . import network
from .config import MemoryConfig
from .network import State
from .strategy import Strategy


@dataclass
class Scan:
    """What writing a batch of B series in n chunks left behind."""

    states: State  # before each chunk, [B * n, ...]
    final: State  # after the last chunk, [B, ...]
    surprise: Tensor  # norm of each chunk's surprise, [B, n]
    gates: State = field(default_factory=dict)  # [B, n, C, ...]


class Memory(nn.Module):
    """A strategy bound to one layer. Strategies see it as their `memory` argument.

    For strategies: `emb_dim`, `hidden`, `depth` (sizes), `options` (the file's OPTIONS with the
    configured values), `clip(gradient)`; modules and parameters may be set as attributes in
    `init_memory_state` and are trained with the model.
    """

    def __init__(self, strategy: Strategy, emb_dim: int, config: MemoryConfig):
        super().__init__()
        self.strategy = strategy
        self.options = strategy.options
        self.emb_dim, self.hidden, self.depth = emb_dim, config.hidden, config.depth
        self.association, self.inner_clip = config.association, config.inner_clip
        start = strategy.call("init_memory_state", self, emb_dim)
        self.names = list(start)
        for name, tensor in start.items():
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(f"start_{name}", tensor)
            else:
                self.register_buffer(f"start_{name}", tensor)
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
        """Write tokens [B, n, C, E] chunk by chunk."""
        batch, count = tokens.shape[:2]
        keys, values = self._pairs(tokens)
        gates = self._gates(tokens)
        state, states, surprises = self.start(batch), [], []
        for chunk in range(count):
            states.append(state)
            now = {name: gate[:, chunk] for name, gate in gates.items()}
            surprise = self.strategy.call(
                "compute_surprise", self, state, keys[:, chunk], values[:, chunk], now
            )
            state = self.strategy.call("apply_update", self, state, surprise, now)
            surprises.append(surprise)
        stacked = {name: torch.stack([s[name] for s in states], 1) for name in self.names}
        return Scan(
            {name: tensor.flatten(0, 1) for name, tensor in stacked.items()},
            state,
            torch.zeros(0),
            gates,
        )

    def read(self, scan: Scan, tokens: Tensor) -> Tensor:
        """M_i(q) of tokens [B, n, C, E], each chunk in the state before it; [B, n, C, E]."""
        shape = tokens.shape
        flat = self.query(tokens).flatten(0, 1)
        if self.strategy.has("compute_queries"):
            queries = self.strategy.call("compute_queries", self, flat)
        else:
            queries, _ = self.strategy.call("compute_keys_values", self, flat)
        if self.strategy.has("retrieve"):
            found = self.strategy.call("retrieve", self, scan.states, queries)
        else:
            found = network.forward(scan.states, queries)
        return found.view(shape)

    def clip(self, gradient: State) -> State:
        """`gradient` scaled, row by row, to a total norm of at most `inner_clip`."""
        if not self.inner_clip:
            return gradient
        square = sum(tensor.flatten(1).square().sum(1) for tensor in gradient.values())
        scale = self.inner_clip * torch.rsqrt(square.clamp_min(self.inner_clip**2))
        return {
            name: tensor * scale.view(-1, *[1] * (tensor.dim() - 1))
            for name, tensor in gradient.items()
        }

    def _pairs(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, n, C, ...]: of the same token, or a key with what followed it."""
        batch, count, size, width = tokens.shape
        flat = tokens.flatten(0, 1)
        if self.association == "next":
            series = tokens.reshape(batch, count * size, width)
            before = torch.cat([torch.zeros_like(series[:, :1]), series[:, :-1]], 1)
            keys, _ = self.strategy.call(
                "compute_keys_values", self, before.view(batch * count, size, width)
            )
            _, values = self.strategy.call("compute_keys_values", self, flat)
        else:
            keys, values = self.strategy.call("compute_keys_values", self, flat)
        return keys.unflatten(0, (batch, count)), values.unflatten(0, (batch, count))

    def _gates(self, tokens: Tensor) -> State:
        if not self.strategy.has("compute_gates"):
            return {}
        gates = self.strategy.call("compute_gates", self, tokens.flatten(0, 1))
        return {name: gate.unflatten(0, tokens.shape[:2]) for name, gate in gates.items()}
