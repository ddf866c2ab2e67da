"""What has been written: an explicit object, one row per sequence.

Each layer keeps the change of its `down_proj` weight, dW `[d, ff]`, as the factors of the
tokens written, dW = U^T K, beside an optional dense part. Learning rate, gate, decay and
delta correction are folded into U, so that reading needs no configuration.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from ..errors import UserError
from ..io import beside


@dataclass(frozen=True)
class LayerState:
    """The memory of one layer, B rows of S factors; float32 or float64.

    A row that wrote fewer tokens than another holds zeros in `values`.
    """

    keys: Tensor  # [B, S, ff]
    values: Tensor  # [B, S, d]
    dense: Tensor  # [B, d, ff], or [0, d, ff] as long as nothing was folded
    pending_z: Tensor  # [B, P, ff]: the tokens of the chunk that is not yet full
    pending_target: Tensor  # [B, P, d]
    pending_weight: Tensor  # [B, P]

    @classmethod
    def empty(cls, batch: int, d: int, ff: int, like: Tensor) -> Self:
        """Nothing written: reads return exact zeros."""
        new = like.new_zeros
        return cls(
            new(batch, 0, ff), new(batch, 0, d), new(0, d, ff),
            new(batch, 0, ff), new(batch, 0, d), new(batch, 0),
        )  # fmt: skip

    def recall(self, z: Tensor) -> Tensor:
        """z dW^T: `[B, T, ff]` -> `[B, T, d]`."""
        out = torch.bmm(torch.bmm(z, self.keys.mT), self.values)
        return torch.baddbmm(out, z, self.dense.mT) if len(self.dense) else out

    def to_dense(self) -> Tensor:
        """dW, `[B, d, ff]`."""
        factors = torch.bmm(self.values.mT, self.keys)
        return factors + self.dense if len(self.dense) else factors

    def fold(self) -> Self:
        """The same memory with its factors summed into the dense part."""
        return replace(
            self, keys=self.keys[:, :0], values=self.values[:, :0], dense=self.to_dense()
        )

    def fold_if_smaller(self) -> Self:
        """Folded, if the rank has passed d ff / (d + ff), from where on the dense form is smaller."""
        _, d, ff = self.dense.shape
        return self.fold() if self.keys.shape[1] * (d + ff) > d * ff else self

    def norm(self) -> Tensor:
        """Frobenius norm of dW, `[B]`, without forming U^T K."""
        gram = (self.keys @ self.keys.mT) * (self.values @ self.values.mT)
        square = gram.sum((1, 2))
        if len(self.dense):
            cross = ((self.keys @ self.dense.mT) * self.values).sum((1, 2))
            square = square + 2 * cross + self.dense.square().sum((1, 2))
        return square.clamp_min(0).sqrt()

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply `function` to every tensor."""
        return type(self)(*(function(getattr(self, f.name)) for f in fields(self)))


@dataclass(frozen=True)
class FastState:
    """The fast weights of B sequences: written by `FastWeights.write`, read by `.read`.

    Immutable: every method returns a new state. Tensors keep their gradient, so that a loss
    on what is read back-propagates into what was written.
    """

    layers: dict[int, LayerState]
    pending: Tensor  # [B] int64: tokens waiting in the partial chunk
    written: Tensor = field()  # [B] int64: tokens written since the state was empty

    @property
    def batch(self) -> int:
        """Number of rows."""
        return len(self.pending)

    @property
    def rank(self) -> int:
        """Most factors that any layer holds unfolded."""
        return max(layer.keys.shape[1] for layer in self.layers.values())

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        tensors = [t for layer in self.layers.values() for t in vars(layer).values()]
        return sum(t.nbytes for t in [*tensors, self.pending, self.written])

    def _map(self, function: Callable[[LayerState], LayerState]) -> Self:
        return replace(self, layers={i: function(layer) for i, layer in self.layers.items()})

    def index(self, rows: Sequence[int] | Tensor) -> Self:
        """The given rows, in the given order; a row may be taken several times."""
        rows = torch.as_tensor(rows, dtype=torch.long, device=self.pending.device)

        def take(layer: LayerState) -> LayerState:
            layer = layer.map(lambda t: t[rows] if len(t) else t)
            used = layer.values.detach().ne(0).any(-1).any(0)
            return replace(layer, keys=layer.keys[:, used], values=layer.values[:, used])

        state = self if rows.numel() == 0 else self._map(take)
        return replace(state, pending=self.pending[rows], written=self.written[rows])

    def concat(self, others: "FastState | Sequence[FastState]") -> Self:
        """The rows of this state followed by those of the others."""
        states = [self, *([others] if isinstance(others, FastState) else others)]
        layers = {i: _concat([s.layers[i] for s in states]) for i in self.layers}
        pending = torch.cat([s.pending for s in states])
        return type(self)(layers, pending, torch.cat([s.written for s in states]))

    def scale(self, alpha: float) -> Self:
        """alpha dW; what is pending stays as it is."""
        return self._map(
            lambda layer: replace(layer, values=layer.values * alpha, dense=layer.dense * alpha)
        )

    def noise_like(self, generator: torch.Generator) -> Self:
        """Gaussian factors, as many as were written, with the Frobenius norm of each row and layer."""
        count = int(self.written.max())
        used = torch.arange(count, device=self.written.device) < self.written[:, None]

        def draw(layer: LayerState) -> LayerState:
            def normal(width: int) -> Tensor:
                size = (self.batch, count, width)
                drawn = torch.randn(size, generator=generator, device=generator.device)
                return drawn.to(layer.keys) * used[..., None]

            noise = replace(
                LayerState.empty(self.batch, *layer.dense.shape[1:], layer.keys),
                keys=normal(layer.keys.shape[2]),
                values=normal(layer.values.shape[2]),
            )
            factor = (layer.norm() / noise.norm().clamp_min(1e-30)).detach()
            return replace(noise, values=noise.values * factor[:, None, None])

        noise = self._map(draw)
        return replace(noise, pending=torch.zeros_like(self.pending)).fold()

    def norms(self, fw: "torch.nn.Module | None" = None) -> dict[int, Tensor]:
        """||dW||_F of each layer, `[B]`; with `fw` given, divided by ||W||_F of its `down_proj`."""
        norms = {i: layer.norm() for i, layer in self.layers.items()}
        if fw is None:
            return norms
        return {i: norm / fw.base_weight(i).detach().float().norm() for i, norm in norms.items()}

    def fold(self, always: bool = False) -> Self:
        """Sum factors into the dense form in layers where that is smaller, or in all."""
        return self._map(LayerState.fold if always else LayerState.fold_if_smaller)

    def reset(self, rows: Sequence[int] | Tensor) -> Self:
        """Empty the given rows: for a batch in which some sequences begin a new document."""
        gone = torch.zeros(self.batch, dtype=torch.bool, device=self.pending.device)
        gone[torch.as_tensor(rows, dtype=torch.long, device=gone.device)] = True

        def clear(t: Tensor) -> Tensor:
            return t.masked_fill(gone.view(-1, *[1] * (t.ndim - 1)), 0) if len(t) else t

        return type(self)(
            {i: layer.map(clear) for i, layer in self.layers.items()},
            clear(self.pending),
            clear(self.written),
        )

    def to(self, *args: object, **kwargs: object) -> Self:
        """Move or cast like `Tensor.to`; counts are moved, never cast."""
        probe = torch.empty(0, device=self.pending.device).to(*args, **kwargs)
        state = self._map(lambda layer: layer.map(lambda t: t.to(*args, **kwargs)))
        return replace(
            state, pending=self.pending.to(probe.device), written=self.written.to(probe.device)
        )

    def detach(self) -> Self:
        """The same values without gradient."""
        return self._map(lambda layer: layer.map(Tensor.detach))

    def save(self, path: str | Path) -> None:
        """Write to one safetensors file, atomically."""
        tensors = {"pending": self.pending, "written": self.written}
        for i, layer in self.layers.items():
            tensors |= {f"{i}.{name}": t for name, t in vars(layer).items()}
        tensors = {name: t.detach().contiguous().cpu().clone() for name, t in tensors.items()}
        with beside(path) as temporary:
            save_file(tensors, temporary, {"layers": json.dumps(sorted(self.layers))})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            UserError: the file is missing or is no such state.
        """
        if not Path(path).is_file():
            raise UserError(f"{path}: no such fast-weight state")
        names = [f.name for f in fields(LayerState)]
        try:
            with safe_open(path, framework="pt") as file:
                layers = {
                    i: LayerState(*(file.get_tensor(f"{i}.{name}") for name in names))
                    for i in json.loads(file.metadata()["layers"])
                }
                return cls(layers, file.get_tensor("pending"), file.get_tensor("written"))
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: not a saved fast-weight state ({error})") from error


def _concat(parts: list[LayerState]) -> LayerState:
    """Stack rows; factors and pending tokens are padded on the right with zeros."""
    if any(len(part.dense) for part in parts):
        parts = [
            part if len(part.dense) else replace(part, dense=part.to_dense() * 0) for part in parts
        ]

    def stack(name: str) -> Tensor:
        tensors = [getattr(part, name) for part in parts]
        if name == "dense":
            return torch.cat(tensors)
        width = max(t.shape[1] for t in tensors)
        pads = [(0, 0) * (t.ndim - 2) + (0, width - t.shape[1]) for t in tensors]
        return torch.cat([F.pad(t, pad) for t, pad in zip(tensors, pads, strict=True)])

    return LayerState(*(stack(f.name) for f in fields(LayerState)))
