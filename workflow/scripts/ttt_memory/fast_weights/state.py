"""What has been written: an explicit object, one row per sequence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from ..errors import UserError
from .chunks import Pending
from .compact import compact
from .rules.factors import FactorState
from .rules.states import RuleState, concat, stack_rows

if TYPE_CHECKING:
    from .injection import FastWeights

COUNTERS = ("pending", "written", "open")  # the fields of `FastState` beside its layers
Rows = Sequence[int] | slice | Tensor  # row numbers, or a bool tensor [B]


@dataclass(frozen=True, eq=False)
class LayerState:
    """What one layer has written, and the tokens that wait for their chunk to fill."""

    written: RuleState
    pending: Pending

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        pending = (self.pending.z, self.pending.target, self.pending.weight)
        return self.written.nbytes + sum(t.nbytes for t in pending)

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply `function` to every tensor."""
        return replace(self, written=self.written.map(function), pending=self.pending.map(function))

    def reset(self, gone: Tensor) -> Self:
        """Empty the rows where `gone` `[B]` bool."""
        pending = self.pending.map(lambda t: t.masked_fill(gone.view(-1, *[1] * (t.ndim - 1)), 0))
        return replace(self, written=self.written.reset(gone), pending=pending)

    def to(self, *args: object, **kwargs: object) -> Self:
        """Move or cast like `Tensor.to`."""
        pending = self.pending.map(lambda t: t.to(*args, **kwargs))
        return replace(self, written=self.written.to(*args, **kwargs), pending=pending)


@dataclass(frozen=True, eq=False)
class FastState:
    """The fast weights of B sequences: written by `FastWeights.write`, read by `.read`.

    Every method returns a new state. Tensors keep their gradient, so that a loss on what is
    read back-propagates into what was written.
    """

    layers: dict[int, LayerState]
    pending: Tensor  # [B] int64: tokens waiting in the partial chunk
    written: Tensor  # [B] int64: tokens written since the row was empty
    open: Tensor  # [B] bool: the last text has not ended, what is written next belongs to it

    @property
    def batch(self) -> int:
        """Number of rows."""
        return len(self.pending)

    @property
    def rank(self) -> int:
        """The most tokens that any layer holds unfolded."""
        return max(layer.written.token_count for layer in self.layers.values())

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors; see `RuleState.nbytes`."""
        counters = self.pending.nbytes + self.written.nbytes + self.open.nbytes
        return counters + sum(layer.nbytes for layer in self.layers.values())

    @property
    def row_bytes(self) -> list[int]:
        """Bytes of each row, taken alone: without the padding that other rows make necessary."""
        return [self.index([row]).nbytes for row in range(self.batch)]

    def to_dense(self) -> dict[int, Tensor]:
        """The change dW of each layer, `[B, d, ff]`."""
        return {i: layer.written.to_dense() for i, layer in self.layers.items()}

    def readable(self) -> Self:
        """The same fast weights in the form that is read.

        Where this is another form than is written (least squares), nothing more can be written to
        it. `read` does this by itself and keeps the result. What this returns is all that reading
        needs: to keep it alone takes less space where the update rule keeps more for writing.

        Raises:
            UserError: without gradients, the fast weights of a layer are not finite.
        """
        layers = {}
        for i, layer in self.layers.items():
            try:
                layers[i] = replace(layer, written=layer.written.readable())
            except UserError as error:
                raise UserError(f"layer {i}: {error}") from error
        return replace(self, layers=layers)

    def compact(self, limit: int) -> Self:
        """The same fast weights in at most `limit` bytes a row, with the least error of dW.

        Each row gets the form that is nearest to its dW (see `compact.py`), whatever other rows
        hold; layers share the bytes evenly. A state of rank 0 is left where there is room for
        nothing. It has no gradient and can only be read.

        Raises:
            UserError: a text has not ended, or `limit` is less than the counters of a row take.
        """
        if self.pending.any():
            raise UserError("tokens wait for their chunk: end the text (`FastWeights.flush`) first")
        counters = sum(getattr(self, n).element_size() for n in COUNTERS)
        if limit < counters:
            raise UserError(f"a state of {limit} bytes a row; expected at least {counters}")
        each = (limit - counters) // len(self.layers)

        def compacted(layer: LayerState) -> LayerState:
            none = Pending.empty(self.batch, *layer.written.sizes, layer.pending.z)
            return LayerState(compact(layer.written, each), none)

        return self._map(compacted)

    def index(self, rows: Rows) -> Self:
        """The given rows, in the given order; a row may be taken several times."""
        rows = self._rows(rows)
        layers = {
            i: LayerState(layer.written.index(rows), layer.pending.map(lambda t: t[rows]))
            for i, layer in self.layers.items()
        }
        return type(self)(layers, self.pending[rows], self.written[rows], self.open[rows])

    def concat(self, others: "FastState | Sequence[FastState]") -> Self:
        """The rows of this state followed by those of the others.

        Raises:
            ValueError: the states are of two update rules or of other layers, or some can only be
                read.
        """
        states = [self, *([others] if isinstance(others, FastState) else others)]
        self._require_layers(states)

        def stacked(i: int) -> LayerState:
            layers = [state.layers[i] for state in states]
            names = ("z", "target", "weight")
            pending = (stack_rows([getattr(p.pending, name) for p in layers]) for name in names)
            return LayerState(concat([layer.written for layer in layers]), Pending(*pending))

        counters = (torch.cat([getattr(s, n) for s in states]) for n in COUNTERS)
        return type(self)({i: stacked(i) for i in self.layers}, *counters)

    def merge(self, texts: "FastState") -> Self:
        """Every row joined by all rows of `texts`, as if each had been written into it.

        Exact for rules whose tokens have no order, if neither was read while it was written and
        there was no decay. With recency they count as part of the row's last text: nothing that the
        row holds grows older, and the texts do not age each other. See `RuleState.merge`.

        Raises:
            ValueError: tokens of `texts` are pending; the rule depends on the order of tokens; or
                the states are of two rules or of other layers.
        """
        self._require_layers([texts])
        if texts.pending.any():
            raise ValueError("tokens of the merged texts are pending: write them with flush")
        layers = {
            i: replace(layer, written=layer.written.merge(texts.layers[i].written))
            for i, layer in self.layers.items()
        }
        return replace(self, layers=layers, written=self.written + texts.written.sum())

    def reset(self, rows: Rows) -> Self:
        """Empty the given rows: for a batch in which some sequences begin a new document."""
        gone = torch.zeros(self.batch, dtype=torch.bool, device=self.pending.device)
        gone[self._rows(rows)] = True

        counters = {n: getattr(self, n).masked_fill(gone, 0) for n in COUNTERS}
        return replace(self._map(lambda layer: layer.reset(gone)), **counters)

    def scale(self, alpha: float) -> Self:
        """Multiply dW by alpha in every layer; what is pending stays as it is."""
        return self._written(lambda written: written.scale(alpha))

    def noise_like(self, generator: torch.Generator) -> Self:
        """Gaussian factors, one a token written, with the norm of dW in each row and layer."""
        count = int(self.written.max()) if self.batch else 0
        used = torch.arange(count, device=self.written.device) < self.written[:, None]

        def draw(width: int, like: Tensor) -> Tensor:
            size = (self.batch, count, width)
            noise = torch.randn(size, generator=generator, device=generator.device)
            return noise.to(like) * used[..., None]

        def noise(layer: LayerState) -> LayerState:
            (d, ff), like = layer.written.sizes, layer.pending.z
            drawn = FactorState(draw(ff, like), draw(d, like))
            drawn = drawn.fold() if drawn.outgrown() else drawn
            norm = drawn.norm()
            ratio = torch.where(norm > 0, layer.written.norm().detach() / norm, 0)
            none = Pending.empty(self.batch, d, ff, like)
            return LayerState(drawn.scale(ratio[:, None, None]), none)

        return replace(self._map(noise), pending=torch.zeros_like(self.pending))

    def norms(self, fw: "FastWeights | None" = None) -> dict[int, Tensor]:
        """||dW||_F of each layer, `[B]`; with `fw`, relative to its ||W||_F of the same layer.

        NaN where W is packed in 4 bits.
        """
        norms = {i: layer.written.norm() for i, layer in self.layers.items()}
        if fw is None:
            return norms
        packed = {i for i in norms if tuple(fw.base_weight(i).shape) != fw.widths(i)}
        return {
            i: norm * torch.nan if i in packed else norm / _norm(fw.base_weight(i).detach(), norm)
            for i, norm in norms.items()
        }

    def fold(self, always: bool = False) -> Self:
        """Sum up the tokens in layers where that takes less space, or in all."""
        return self._written(lambda s: s.fold() if always or s.outgrown() else s)

    def detach(self) -> Self:
        """The same values without gradient."""
        return self._map(lambda layer: layer.map(Tensor.detach))

    def to(self, *args: object, **kwargs: object) -> Self:
        """Move or cast like `Tensor.to`; counters are moved, never cast."""
        device = torch.empty(0, device=self.pending.device).to(*args, **kwargs).device
        state = self._map(lambda layer: layer.to(*args, **kwargs))
        return replace(state, **{n: getattr(self, n).to(device) for n in COUNTERS})

    def _require_layers(self, states: "Sequence[FastState]") -> None:
        """Refuse to put together states of other layers."""
        for state in states:
            if state.layers.keys() != self.layers.keys():
                raise ValueError(
                    f"states of the layers {sorted(self.layers)} and {sorted(state.layers)}:"
                    " expected the same layers"
                )

    def _map(self, function: Callable[[LayerState], LayerState]) -> Self:
        return replace(self, layers={i: function(layer) for i, layer in self.layers.items()})

    def _written(self, function: Callable[[RuleState], RuleState]) -> Self:
        return self._map(lambda layer: replace(layer, written=function(layer.written)))

    def _rows(self, rows: Rows) -> Tensor:
        """Row numbers `[N]`."""
        if isinstance(rows, slice):
            rows = range(self.batch)[rows]
        if isinstance(rows, range):
            rows = list(rows)
        rows = torch.as_tensor(rows, device=self.pending.device)
        return rows.nonzero().squeeze(1) if rows.dtype == torch.bool else rows.long()


def _norm(weight: Tensor, like: Tensor) -> Tensor:
    """||W||_F as a scalar like `like`, also of a weight that is sharded over processes."""
    norm = weight.to(like.dtype).norm()
    return norm.full_tensor() if isinstance(norm, DTensor) else norm.to(like.device)
