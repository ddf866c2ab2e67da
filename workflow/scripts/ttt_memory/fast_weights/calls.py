"""One forward pass with memory: what the hooks do while it lasts. Nothing outlives the pass."""

from contextlib import contextmanager
from contextvars import ContextVar
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from .config import FastWeightsConfig
from .module import FastLayer
from .parallel import Plan, advance
from .state import FastState

# The pass that is running in this thread or task, with the model it belongs to.
_RUNNING: ContextVar["tuple[nn.Module, Read | Write] | None"] = ContextVar("pass", default=None)


@contextmanager
def running(owner: nn.Module, call: "Read | Write") -> Iterator[None]:
    """Let the hooks of `owner` find `call` inside the block."""
    token = _RUNNING.set((owner, call))
    try:
        yield
    finally:
        _RUNNING.reset(token)


def current(owner: nn.Module) -> "Read | Write | None":
    """The pass that runs on `owner`, if any."""
    entry = _RUNNING.get()
    return entry[1] if entry is not None and entry[0] is owner else None


class Read:
    """A pass that reads: y + z dW^T. Batch row b sees row b // repeat of the state."""

    def __init__(self, state: FastState, repeat: int = 1) -> None:
        self.state, self.repeat = state, repeat

    def embeds(self, x: Tensor) -> None:
        """Token embeddings `[B, T, d]`: not needed."""

    def enter(self, layer: int, x: Tensor) -> None:
        """The MLP's input `[B, T, d]`: not needed."""

    def down(self, layer: int, z: Tensor, y: Tensor) -> Tensor:
        """What `down_proj` gives for z `[B, T, ff]`, with the memory: `[B, T, d]`."""
        if len(z) != self.state.batch * self.repeat:
            raise ValueError(
                f"a batch of {len(z)} rows cannot read a state of {self.state.batch} rows "
                f"with repeat={self.repeat}"
            )
        memory = self.state.layers[layer]
        with torch.autocast(z.device.type, enabled=False):
            queries = z.to(memory.keys.dtype).reshape(self.state.batch, -1, z.shape[-1])
            return y + memory.recall(queries).reshape(y.shape).to(y.dtype)


class Write:
    """A pass that writes the tokens of `mask` `[B, T]`, scaled by `weight` `[B, T]`."""

    def __init__(
        self,
        config: FastWeightsConfig,
        layers: dict[int, FastLayer],
        state: FastState,
        mask: Tensor,
        weight: Tensor | None,
        end: str,
    ) -> None:
        self.config, self.layers, self.weight = config, layers, weight
        self.memory = dict(state.layers)
        self.written = state.written
        self.gates: dict[int, Tensor] = {}
        self.targets: dict[int, Tensor] = {}
        self.z: dict[int, Tensor] = {}
        self.token_embeds: Tensor | None = None
        self.plans = self._plans(state, mask, end)

    def _plans(self, state: FastState, mask: Tensor, end: str) -> list[tuple[slice, Plan]]:
        """Cut the text into pieces whose products cost less than dense updates would."""
        config, layer = self.config, next(iter(self.layers.values()))
        length = mask.shape[1]
        piece = length
        if config.update == "delta" or config.read_while_writing:
            best = -(-4 * layer.d * layer.ff // (layer.d + layer.ff))
            piece = -(-best // config.chunk) * config.chunk
        plans, pending = [], state.pending
        width = next(iter(state.layers.values())).pending_z.shape[1]
        for start in range(0, length, max(piece, 1)):
            last = start + piece >= length
            cut = slice(start, start + piece)
            plan = Plan.build(
                pending, width, mask[:, cut], config.chunk, config.decay, end if last else "wait"
            )
            plans.append((cut, plan))
            pending, width = plan.left, plan.wait
            self.written = self.written + plan.written.sum(1)
        self.pending = pending
        return plans

    def embeds(self, x: Tensor) -> None:
        """Keep the token embeddings `[B, T, d]`."""
        self.token_embeds = x

    def enter(self, layer: int, x: Tensor) -> None:
        """Keep the MLP's input `[B, T, d]`, and the gate it sets."""
        own = self.config.target == "hidden_states"
        self.targets[layer] = x if own else self.token_embeds
        if self.config.gate == "layer":
            self.gates[layer] = self._gate(layer, x)

    def down(self, layer: int, z: Tensor, y: Tensor) -> Tensor | None:
        """Keep z `[B, T, ff]`; when reading while writing, write now and add what is read."""
        self.z[layer] = z
        if not self.config.read_while_writing:
            return None
        with torch.autocast(z.device.type, enabled=False):
            return y + self._write(layer).to(y.dtype)

    def finish(self, hidden: Tensor) -> FastState:
        """The state after the pass; `hidden` `[B, T, d]` is what the final norm gave."""
        if not self.config.read_while_writing:
            with torch.autocast(hidden.device.type, enabled=False):
                for layer in self.layers:
                    if self.config.gate == "top":
                        self.gates[layer] = self._gate(layer, hidden)
                    self._write(layer)
        return FastState(self.memory, self.pending, self.written)

    def _gate(self, layer: int, u: Tensor) -> Tensor:
        dtype = self.memory[layer].keys.dtype
        with torch.autocast(u.device.type, enabled=False):
            return self.layers[layer].gate(u.to(dtype))

    def _write(self, layer: int) -> Tensor | None:
        """Write the layer's tokens into its memory; return what they read `[B, T, d]`, if asked."""
        memory = self.memory[layer]
        dtype = memory.keys.dtype
        z, target = self.z.pop(layer).to(dtype), self.targets.pop(layer).to(dtype)
        weight = self.gates.get(layer, z.new_ones(z.shape[:2]))
        if self.weight is not None:
            weight = weight * self.weight.to(dtype)
        rule = self.layers[layer].rule(dtype)
        read = []
        for cut, plan in self.plans:
            out, memory = advance(
                memory, plan, rule, z[:, cut], target[:, cut], weight[:, cut],
                read=self.config.read_while_writing,
            )  # fmt: skip
            memory = memory.fold_if_smaller()
            read.append(out)
        self.memory[layer] = memory
        return torch.cat(read, 1) if self.config.read_while_writing else None
