"""What has been written: an explicit object, one row per sequence.

Each layer keeps what the change of its `down_proj` weight, dW `[d, ff]`, is made of: tokens as
keys and values, beside an optional dense part (`LayerState`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from .layer_state import LayerState, concat

Rows = Sequence[int] | Tensor  # row numbers, or a bool tensor [B]


@dataclass(frozen=True, eq=False)
class FastState:
    """The fast weights of B sequences: written by `FastWeights.write`, read by `.read`.

    Every method returns a new state. Tensors keep their gradient, so that a loss on what is
    read back-propagates into what was written.
    """

    layers: dict[int, LayerState]
    pending: Tensor  # [B] int64: tokens waiting in the partial chunk
    written: Tensor  # [B] int64: tokens written since the row was empty

    @property
    def batch(self) -> int:
        """Number of rows."""
        return len(self.pending)

    @property
    def rank(self) -> int:
        """The most tokens that any layer holds unfolded."""
        return max(layer.keys.shape[1] for layer in self.layers.values())

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors; see `LayerState.nbytes`."""
        counters = self.pending.nbytes + self.written.nbytes
        return counters + sum(layer.nbytes for layer in self.layers.values())

    def _map(self, function: Callable[[LayerState], LayerState]) -> Self:
        return replace(self, layers={i: function(layer) for i, layer in self.layers.items()})

    def index(self, rows: Rows) -> Self:
        """The given rows, in the given order; a row may be taken several times."""
        rows = self._rows(rows)

        def take(layer: LayerState) -> LayerState:
            layer = layer.map(lambda t: t[rows])
            # Another row's padding goes.
            used = layer.counts if layer.counts.shape[1] else layer.values.detach().ne(0).any(-1)
            used = used.detach().ne(0).any(0)
            counts = layer.counts[:, used] if layer.counts.shape[1] else layer.counts
            return replace(
                layer, keys=layer.keys[:, used], values=layer.values[:, used], counts=counts
            )

        return replace(self._map(take), pending=self.pending[rows], written=self.written[rows])

    def concat(self, others: "FastState | Sequence[FastState]") -> Self:
        """The rows of this state followed by those of the others.

        Raises:
            ValueError: some were solved, and others can go on.
        """
        states = [self, *([others] if isinstance(others, FastState) else others)]
        layers = {i: concat([s.layers[i] for s in states]) for i in self.layers}
        pending = torch.cat([s.pending for s in states])
        return type(self)(layers, pending, torch.cat([s.written for s in states]))

    def reset(self, rows: Rows) -> Self:
        """Empty the given rows: for a batch in which some sequences begin a new document."""
        gone = torch.zeros(self.batch, dtype=torch.bool, device=self.pending.device)
        gone[self._rows(rows)] = True

        def clear(t: Tensor) -> Tensor:
            return t.masked_fill(gone.view(-1, *[1] * (t.ndim - 1)), 0)

        state = self._map(lambda layer: layer.map(clear))
        return replace(state, pending=clear(self.pending), written=clear(self.written))

    def scale(self, alpha: float) -> Self:
        """Multiply dW by alpha in every layer."""
        return self._map(lambda layer: layer.scale(alpha))

    def noise_like(self, generator: torch.Generator) -> Self:
        """Gaussian factors, as many as were written, with the norm of dW in each row and layer."""
        count = int(self.written.max()) if self.batch else 0
        used = torch.arange(count, device=self.written.device) < self.written[:, None]

        def draw(like: Tensor) -> Tensor:
            size = (self.batch, count, like.shape[2])
            noise = torch.randn(size, generator=generator, device=generator.device)
            return noise.to(like) * used[..., None]

        def noise(layer: LayerState) -> LayerState:
            empty = LayerState.empty(self.batch, *layer.dense.shape[1:], layer.keys)
            drawn = replace(empty, keys=draw(layer.keys), values=draw(layer.values))
            drawn = drawn.fold() if drawn.outgrown() else drawn
            norm = drawn.norm()
            ratio = torch.where(norm > 0, layer.norm().detach() / norm, 0)
            return drawn.scale(ratio[:, None, None])

        return replace(self._map(noise), pending=torch.zeros_like(self.pending))

    def norms(self, fw: "torch.nn.Module | None" = None) -> dict[int, Tensor]:
        """||dW||_F of each layer, `[B]`; with `fw`, relative to its ||W||_F of the same layer."""
        norms = {i: layer.norm() for i, layer in self.layers.items()}
        if fw is None:
            return norms
        return {i: norm / _norm(fw.base_weight(i).detach(), norm) for i, norm in norms.items()}

    def solve(self) -> Self:
        """The same memories as sums, for reading: least squares forgets what its tokens counted.

        `read` does it by itself; to keep only this spares memory. A text cannot go on in it: that
        would be weighed against nothing, and `write` refuses it.
        """
        return self._map(LayerState.solve)

    def fold(self, always: bool = False) -> Self:
        """Sum tokens up in the dense part in layers where that is smaller, or in all."""
        return self._map(lambda s: s.fold() if always or s.outgrown() else s)

    def detach(self) -> Self:
        """The same values without gradient."""
        return self._map(lambda layer: layer.map(Tensor.detach))

    def to(self, *args: object, **kwargs: object) -> Self:
        """Move or cast like `Tensor.to`; `pending` and `written` are moved, never cast."""
        device = torch.empty(0, device=self.pending.device).to(*args, **kwargs).device
        state = self._map(lambda layer: LayerState(*(t.to(*args, **kwargs) for t in layer.parts())))
        return replace(state, pending=self.pending.to(device), written=self.written.to(device))

    def _rows(self, rows: Rows) -> Tensor:
        """Row numbers `[N]`."""
        rows = torch.as_tensor(rows, device=self.pending.device)
        return rows.nonzero().squeeze(1) if rows.dtype == torch.bool else rows.long()


def _norm(weight: Tensor, like: Tensor) -> Tensor:
    """||W||_F as a scalar like `like`, also of a weight that is sharded over processes."""
    norm = weight.to(like.dtype).norm()
    return norm.full_tensor() if isinstance(norm, DTensor) else norm.to(like.device)
