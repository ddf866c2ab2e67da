"""One forward pass with memory: what the hooks do while it lasts. Nothing outlives the pass."""

import copy
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Self

import torch
from torch import Tensor, nn

from ..errors import UserError
from .config import FastWeightsConfig
from .layer import FastLayer
from .layer_state import full_precision
from .parallel import Plan, advance
from .state import FastState

# The pass that is running in this thread or task, and the model it runs on.
_RUNNING: ContextVar["tuple[nn.Module, Pass] | None"] = ContextVar("running", default=None)

# Folding a sum costs what reading as many tokens again as are folded would: up to twice the memory
# of the dense form, factors stay.
UNFOLDED = 2


@contextmanager
def running(owner: nn.Module, call: "Pass") -> Iterator[None]:
    """Let the hooks of `owner` find `call` inside the block.

    Raises:
        UserError: a layer of the memory took no part in the pass.
    """
    token = _RUNNING.set((owner, call))
    try:
        yield
    finally:
        _RUNNING.reset(token)
    if idle := call.layers - call.seen:
        raise UserError(
            f"layer {min(idle)}: its down_proj was not called, so there is no memory in this pass; "
            "expected a model that is not ejected and whose MLPs are not fused"
        )


def current(owner: nn.Module) -> "Pass | None":
    """The pass that runs on `owner`, if any."""
    entry = _RUNNING.get()
    return entry[1] if entry is not None and entry[0] is owner else None


def piece_length(config: FastWeightsConfig, d: int, ff: int) -> int | None:
    """Most tokens of a text that are written at once; None for all of them.

    By least squares about ff, at which the tokens held are summed up. Else a token costs
    L (d + ff) in a piece of L tokens, and 2 d ff more where the memory before the piece is dense: a
    third of the whole at L = 4 d ff / (d + ff), the length taken.
    """
    if config.update == "hebbian" and not config.read_while_writing:
        return None
    if config.update == "mesa":
        return (ff // config.chunk + 1) * config.chunk
    return (4 * d * ff // (d + ff) // config.chunk + 1) * config.chunk


def recomputation() -> tuple[AbstractContextManager, AbstractContextManager]:
    """Contexts of a layer whose activations are recomputed in the backward pass, for `checkpoint`.

    A layer runs first within the pass itself, and again within a copy of what the pass was when
    the layer began: the hooks do the same twice and the second time leaves nothing behind.
    """
    entry = _RUNNING.get()
    return nullcontext(), nullcontext() if entry is None else _Again(entry[0], entry[1].copy())


class _Again:
    """A context, entered once for each backward pass, in which `call` runs as it was."""

    def __init__(self, owner: nn.Module, call: "Pass") -> None:
        self.owner, self.call = owner, call

    def __enter__(self) -> None:
        self.token = _RUNNING.set((self.owner, self.call.copy()))

    def __exit__(self, *error: object) -> None:
        _RUNNING.reset(self.token)


class Pass:
    """What the hooks call, in this order; a pass keeps what it needs."""

    def __init__(self, layers: Iterable[int]) -> None:
        self.layers, self.seen = set(layers), set()

    def copy(self) -> Self:
        """A pass in the same state, that goes on by itself."""
        twin = copy.copy(self)
        kept = {n: v.copy() for n, v in vars(self).items() if isinstance(v, (dict, set))}
        vars(twin).update(kept)
        return twin

    def embeds(self, x: Tensor) -> None:
        """Token embeddings `[B, T, d]`."""

    def enter(self, layer: int, x: Tensor) -> None:
        """An MLP's input `[B, T, d]`."""

    def down(self, layer: int, z: Tensor, y: Tensor) -> Tensor | None:
        """What `down_proj` made of z `[B, T, ff]`: y `[B, T, d]`, or what is returned for it."""

    def hidden(self, x: Tensor) -> None:
        """The final norm's output `[B, T, d]`."""


class Read(Pass):
    """A pass that reads: y + z dW^T. Batch row b sees row b // repeat of the state."""

    def __init__(self, state: FastState, repeat: int) -> None:
        super().__init__(state.layers)
        # Here, not in a layer, which may be recomputed.
        self.state, self.repeat = state.solve(), repeat

    def down(self, layer: int, z: Tensor, y: Tensor) -> Tensor:
        """Add what the memory recalls."""
        batch = self.state.batch
        if len(z) != batch * self.repeat:
            raise ValueError(
                f"a batch of {len(z)} cannot read a state of {batch} rows, repeat {self.repeat}"
            )
        self.seen.add(layer)
        memory = self.state.layers[layer]
        with full_precision(z):
            queries = z.to(memory.keys.dtype).reshape(batch, -1, z.shape[-1])
            return y + memory.recall(queries).reshape(y.shape).to(y.dtype)


class Write(Pass):
    """A pass that writes the tokens of `mask` `[B, T]` bool, scaled by `weight` `[B, T]`.

    `end` says what becomes of a partial last chunk, as in `Plan.build`.
    """

    def __init__(
        self,
        config: FastWeightsConfig,
        fast: dict[int, FastLayer],
        state: FastState,
        mask: Tensor,
        weight: Tensor | None,
        end: str,
    ) -> None:
        super().__init__(fast)
        self.config, self.fast, self.weight = config, fast, weight
        self.memory = dict(state.layers)
        self.gates: dict[int, Tensor] = {}
        self.targets: dict[int, Tensor] = {}
        self.z: dict[int, Tensor] = {}
        self.token_embeds = self.final_hidden = None
        self.plans = self._plans(state, mask, end)
        self.pending = self.plans[-1][1].left
        self.written = state.written + sum(plan.written.sum(1) for _, plan in self.plans)

    def _plans(self, state: FastState, mask: Tensor, end: str) -> list[tuple[slice, Plan]]:
        """Cut the text into pieces; between two the memory may be folded."""
        config, layer = self.config, next(iter(self.fast.values()))
        length = max(mask.shape[1], 1)
        piece = piece_length(config, layer.d, layer.ff) or length
        plans, pending = [], state.pending
        width = next(iter(state.layers.values())).pending_weight.shape[1]
        for start in range(0, length, piece):
            cut = slice(start, start + piece)
            after = end if start + piece >= length else "wait"
            plan = Plan.build(pending, width, mask[:, cut], config.chunk, config.decay, after)
            plans.append((cut, plan))
            pending, width = plan.left, plan.left_width
        return plans

    def embeds(self, x: Tensor) -> None:
        """Keep the token embeddings `[B, T, d]`."""
        self.token_embeds = x

    def enter(self, layer: int, x: Tensor) -> None:
        """Keep the MLP's input `[B, T, d]`, and the gate that it sets."""
        own = self.config.target == "hidden_states"
        self.targets[layer] = x if own else self.token_embeds
        if self.config.gate == "layer":
            self.gates[layer] = self._gate(layer, x)

    def hidden(self, x: Tensor) -> None:
        """Keep the final norm's output `[B, T, d]`."""
        self.final_hidden = x

    def down(self, layer: int, z: Tensor, y: Tensor) -> Tensor | None:
        """Keep z `[B, T, ff]`; when reading while writing, write now and add what is read."""
        self.seen.add(layer)
        self.z[layer] = z
        if not self.config.read_while_writing:
            return None
        return y + self._write(layer).to(y.dtype)

    def finish(self) -> FastState:
        """The state after the pass."""
        if not self.config.read_while_writing:
            for layer in self.fast:
                if self.config.gate == "top":
                    self.gates[layer] = self._gate(layer, self.final_hidden)
                self._write(layer)
        return FastState(self.memory, self.pending, self.written)

    def without_text(self) -> FastState:
        """The state after a text of no tokens: only what is pending may be written."""
        for layer, memory in self.memory.items():
            nothing = self.pending.new_empty((len(self.pending), 0), dtype=memory.keys.dtype)
            self.z[layer] = nothing[..., None].expand(*nothing.shape, memory.keys.shape[2])
            self.targets[layer] = nothing[..., None].expand(*nothing.shape, memory.values.shape[2])
            self._write(layer)
        return FastState(self.memory, self.pending, self.written)

    def _gate(self, layer: int, u: Tensor) -> Tensor:
        dtype = self.memory[layer].keys.dtype
        with full_precision(u):
            return self.fast[layer].gate(u.to(dtype))

    def _write(self, layer: int) -> Tensor | None:
        """Write the layer's tokens into its memory; return what they read, if that is asked."""
        memory = self.memory[layer]
        dtype = memory.keys.dtype
        z, target = self.z.pop(layer).to(dtype), self.targets.pop(layer).to(dtype)
        weight = self.gates.get(layer, z.new_ones(z.shape[:2]))
        if self.weight is not None:
            weight = weight * self.weight.to(dtype)
        rule, reading, outs = self.fast[layer].rule(dtype), self.config.read_while_writing, []
        with full_precision(z):
            for cut, plan in self.plans:
                piece = z[:, cut], target[:, cut], weight[:, cut]
                out, memory = advance(memory, plan, rule, *piece, reading)
                memory = memory.fold() if memory.outgrown(UNFOLDED) else memory
                outs.append(out)
        self.memory[layer] = memory
        return torch.cat(outs, 1) if reading else None
