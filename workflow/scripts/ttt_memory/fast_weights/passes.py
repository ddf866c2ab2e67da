"""One forward pass that writes or reads: what the hooks do meanwhile. Nothing outlives the pass."""

import copy
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from ..errors import UserError
from .chunks import ChunkPlan, Pending
from .config import FastWeightsConfig
from .layer import FastLayer
from .rules import load
from .rules.products import full_precision
from .rules.states import KEEP_FACTORS, RuleState
from .state import FastState, LayerState
from .write import advance

# The pass that is running in this thread or task, and the model it runs on.
_RUNNING: ContextVar["tuple[nn.Module, Pass] | None"] = ContextVar("running", default=None)


@contextmanager
def running(owner: nn.Module, call: "Pass") -> Iterator[None]:
    """Let the hooks of `owner` find `call` inside the block.

    Raises:
        UserError: a layer's hooks were not reached.
    """
    token = _RUNNING.set((owner, call))
    try:
        yield
    finally:
        _RUNNING.reset(token)
    if idle := call.layers - call.seen:
        raise UserError(
            f"layer {min(idle)}: its down_proj was not called, so no fast weights took part; "
            "expected a model that is not ejected and whose MLPs are not fused or replaced"
        )


def current(owner: nn.Module) -> "Pass | None":
    """The pass that runs on `owner`, if any."""
    entry = _RUNNING.get()
    return entry[1] if entry is not None and entry[0] is owner else None


def recomputation() -> tuple[AbstractContextManager, AbstractContextManager]:
    """The contexts of a layer whose activations are recomputed in the backward pass.

    For `torch.utils.checkpoint`. The layer first runs within the pass itself. It runs again within
    a copy of the pass as it was when the layer began, so that the hooks do the same twice and the
    second time changes nothing.
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
    """What the hooks call, in the order of the methods."""

    def __init__(self, layers: Iterable[int]) -> None:
        self.layers, self.seen = set(layers), set()

    def copy(self) -> Self:
        """An independent pass that has seen the same."""
        twin = copy.copy(self)
        kept = {n: v.copy() for n, v in vars(self).items() if isinstance(v, (dict, set))}
        vars(twin).update(kept)
        return twin

    def embeds(self, x: Tensor) -> None:
        """Token embeddings `[B, T, d]`."""

    def enter(self, layer: int, x: Tensor) -> None:
        """An MLP's input `[B, T, d]`."""

    def down(self, layer: int, z: Tensor, y: Tensor) -> Tensor | None:
        """`down_proj` maps z `[B, T, ff]` to y `[B, T, d]`; what is returned replaces y."""

    def hidden(self, x: Tensor) -> None:
        """The final norm's output `[B, T, d]`."""


class Read(Pass):
    """A pass that reads: y + z dW^T. Batch row b sees row b // repeat of the state.

    Without `repeat` it is found in each call of the model: as many rows as there are for each of
    the state.
    """

    def __init__(self, state: FastState, repeat: int | None) -> None:
        super().__init__(state.layers)
        # Here and not in `down`: a layer may run again in the backward pass.
        self.state, self.repeat = state.readable(), repeat

    def down(self, layer: int, z: Tensor, y: Tensor) -> Tensor:
        """Return y + z dW^T."""
        batch = self.state.batch
        repeat = len(z) // batch if self.repeat is None else self.repeat
        if len(z) != batch * repeat:
            raise ValueError(
                f"a batch of {len(z)} cannot read a state of {batch} rows, repeat {repeat}"
            )
        self.seen.add(layer)
        state = self.state.layers[layer]
        with full_precision(z):
            queries = z.to(state.pending.z.dtype).reshape(batch, -1, z.shape[-1])
            return y + state.written.read(queries).reshape(y.shape).to(y.dtype)


class Write(Pass):
    """A pass that writes the tokens of `mask` `[B, T]` bool, scaled by `weight` `[B, T]`.

    `end` says what becomes of a partial last chunk, as in `ChunkPlan.build`. A row that holds
    something grows older if a text of it begins: if any token of the row is written, its last text
    has ended, and it is not one of the rows `same_text` `[B]`.
    """

    def __init__(
        self,
        config: FastWeightsConfig,
        fast: dict[int, FastLayer],
        state: FastState,
        mask: Tensor,
        weight: Tensor | None,
        end: str,
        same_text: Tensor | None,
    ) -> None:
        super().__init__(fast)
        self.config, self.fast, self.weight = config, fast, weight
        self.rule = load(config.update)
        self.layer_states = dict(state.layers)
        self.gates: dict[int, Tensor] = {}
        self.targets: dict[int, Tensor] = {}
        self.z: dict[int, Tensor] = {}
        self.token_embeds = self.final_hidden = None
        self.plans = self._plans(state, mask, end)
        self.pending = self.plans[-1][1].left
        some = mask.any(1)
        begins = some & ~state.open & (state.written > 0)
        begins = begins if same_text is None else begins & ~same_text
        self.older = begins if config.recency < 1 and begins.any() else None
        self.open = state.open | some if end == "wait" else torch.zeros_like(state.open)
        self.written = state.written + sum(plan.written.sum(1) for _, plan in self.plans)

    def _plans(self, state: FastState, mask: Tensor, end: str) -> list[tuple[slice, ChunkPlan]]:
        """Cut the text into pieces; between two pieces the tokens may be folded."""
        config, layer = self.config, next(iter(self.fast.values()))
        length = max(mask.shape[1], 1)
        reads = config.read_while_writing
        piece = self.rule.piece_length(config.chunk, layer.d, layer.ff, reads) or length
        plans, pending = [], state.pending
        width = next(iter(state.layers.values())).pending.width
        for start in range(0, length, piece):
            cut = slice(start, start + piece)
            after = end if start + piece >= length else "wait"
            plan = ChunkPlan.build(pending, width, mask[:, cut], config.chunk, config.decay, after)
            plans.append((cut, plan))
            pending, width = plan.left, plan.left_width
        return plans

    def embeds(self, x: Tensor) -> None:
        """Keep the token embeddings `[B, T, d]`."""
        self.token_embeds = x

    def enter(self, layer: int, x: Tensor) -> None:
        """Keep the MLP's input `[B, T, d]`, and the gate that it sets."""
        own = self.config.target == "hidden_states"
        if not own and self.token_embeds is None:
            raise UserError(
                "the token embeddings that the model had when it was given fast weights were not"
                " called, and they are what is written; expected them not to be replaced since:"
                " eject, then inject again"
            )
        self.targets[layer] = x if own else self.token_embeds
        if self.config.gate == "layer":
            self.gates[layer] = self._gate(layer, x)

    def hidden(self, x: Tensor) -> None:
        """Keep the final norm's output `[B, T, d]`."""
        self.final_hidden = x

    def down(self, layer: int, z: Tensor, y: Tensor) -> Tensor | None:
        """Keep z `[B, T, ff]`; when reading while writing, write now and add z dW^T."""
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
        return self._state()

    def without_text(self) -> FastState:
        """The state after a text of no tokens: only what is pending may be written."""
        for layer, state in self.layer_states.items():
            self.z[layer], self.targets[layer] = state.pending.z[:, :0], state.pending.target[:, :0]
            self._write(layer)
        return self._state()

    def _state(self) -> FastState:
        return FastState(self.layer_states, self.pending, self.written, self.open)

    def _aged(self, layer: int) -> LayerState:
        """What the layer held before the text, older where one begins."""
        state = self.layer_states[layer]
        if self.older is None:
            return state
        like = state.pending.z
        factor = torch.where(self.older, self.fast[layer].recency(like.dtype), like.new_ones(()))
        return replace(state, written=state.written.age(factor))

    def _gate(self, layer: int, u: Tensor) -> Tensor:
        with full_precision(u):
            return self.fast[layer].gate(u.to(self.layer_states[layer].pending.z.dtype))

    def _write(self, layer: int) -> Tensor | None:
        """Write the layer's tokens; return what they read `[B, T, d]`, if that is asked."""
        state = self._aged(layer)
        dtype = state.pending.z.dtype
        z, target = self.z.pop(layer).to(dtype), self.targets.pop(layer).to(dtype)
        weight = self.gates.get(layer, z.new_ones(z.shape[:2]))
        if self.weight is not None:
            weight = weight * self.weight.to(dtype)
        made, reads, outs = (
            self.fast[layer].keys_and_values(dtype),
            self.config.read_while_writing,
            [],
        )
        with full_precision(z):
            for cut, plan in self.plans:
                text = Pending(z[:, cut], target[:, cut], weight[:, cut])
                out, state = advance(state, plan, self.rule, made, text, reads)
                state = replace(state, written=self._settled(state.written))
                outs.append(out)
        self.layer_states[layer] = state
        return torch.cat(outs, 1) if reads else None

    def _settled(self, written: RuleState) -> RuleState:
        """Without tokens that a closed gate kept out, and folded if there are still too many.

        While training all tokens stay: the gradient says whether a closed gate should open.
        """
        if self.config.gate != "none" and not torch.is_grad_enabled():
            written = written.trim()
        return written.fold() if written.outgrown(KEEP_FACTORS) else written
