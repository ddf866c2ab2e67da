"""What has been written: an explicit object, one row per sequence.

Each layer keeps the change of its `down_proj` weight, dW `[d, ff]`, as the factors of the
tokens written, dW = U^T K, beside an optional dense part. Learning rate, gate, decay and
correction are folded into U, so that reading needs no configuration. The least-squares rule
weighs each new token against all before it, and so keeps what they were to recall, too.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import functional as F

from ..errors import UserError
from ..io import beside

Rows = Sequence[int] | Tensor  # row numbers, or a bool tensor [B]


def full_precision(t: Tensor) -> torch.autocast:
    """Autocast off on t's device: the memory is summed in the precision it is kept in."""
    return torch.autocast(t.device.type, enabled=False)


@dataclass(frozen=True, eq=False)
class LayerState:
    """The memory of one layer, B rows of S factors; float32 or float64.

    A row that wrote fewer tokens than another holds zeros in `values`; one with fewer tokens
    pending holds anything beyond its count (`FastState.pending`).
    """

    keys: Tensor  # [B, S, ff]
    values: Tensor  # [B, S, d]
    dense: Tensor  # [B, d, ff], or [0, d, ff] as long as nothing was folded
    wanted: Tensor  # [B, S, d], update "mesa": what each key is to recall; else [B, 0, d]
    counts: Tensor  # [B, S], update "mesa": how much each counts; else [B, 0]
    gram: Tensor  # [B, ff, ff], update "mesa": sum of counts k k^T over folded keys; or [0, ...]
    pending_z: Tensor  # [B, P, ff]: the tokens of the chunk that is not yet full
    pending_target: Tensor  # [B, P, d]
    pending_weight: Tensor  # [B, P]

    @classmethod
    def empty(cls, batch: int, d: int, ff: int, like: Tensor) -> Self:
        """Nothing written: what is recalled is exactly zero."""
        shapes = [(batch, 0, ff), (batch, 0, d), (0, d, ff)]  # keys, values, dense
        shapes += [(batch, 0, d), (batch, 0), (0, ff, ff)]  # wanted, counts, gram
        shapes += [(batch, 0, ff), (batch, 0, d), (batch, 0)]  # pending
        return cls(*(like.new_zeros(shape) for shape in shapes))

    def recall(self, z: Tensor) -> Tensor:
        """What dW gives for z `[B, T, ff]`: z dW^T, `[B, T, d]`."""
        out = torch.bmm(torch.bmm(z, self.keys.mT), self.values)
        return torch.baddbmm(out, z, self.dense.mT) if len(self.dense) else out

    def to_dense(self) -> Tensor:
        """dW, `[B, d, ff]`."""
        with full_precision(self.keys):
            factors = torch.bmm(self.values.mT, self.keys)
        return factors + self.dense if len(self.dense) else factors

    def to_gram(self) -> Tensor:
        """Sum of counts k k^T over all that was written, `[B, ff, ff]`; `[0, ff, ff]` if none."""
        if not self.counts.shape[1]:
            return self.gram
        with full_precision(self.keys):
            factors = torch.bmm(self.keys.mT * self.counts[:, None], self.keys)
        return factors + self.gram if len(self.gram) else factors

    def outgrown(self, times: int = 1) -> bool:
        """Whether the factors take more than `times` the memory of the dense form, d ff.

        Those of least squares: whether weighing a few tokens against them costs more than against
        the dense form's gram, which it does from about ff / 2 factors on.
        """
        _, d, ff = self.dense.shape
        if self.counts.shape[1]:
            return 2 * self.counts.shape[1] > times * ff
        return self.keys.shape[1] * (d + ff) > times * d * ff

    def fold(self) -> Self:
        """The same memory with its factors summed into the dense part."""
        factors = ("keys", "values", "wanted", "counts")
        none = {name: getattr(self, name)[:, :0] for name in factors}
        return replace(self, dense=self.to_dense(), gram=self.to_gram(), **none)

    def norm(self) -> Tensor:
        """Frobenius norm of dW, `[B]`; of factors without forming U^T K."""
        if len(self.dense) or self.outgrown():
            return self.to_dense().flatten(1).norm(dim=1)
        with full_precision(self.keys):
            square = (self.keys @ self.keys.mT * (self.values @ self.values.mT)).sum((1, 2))
        return square.clamp_min(0).sqrt()

    def scale(self, factor: float | Tensor) -> Self:
        """Multiply dW; a tensor `[B, 1, 1]` scales row by row. What is pending stays as it is."""
        dense = self.dense * factor if len(self.dense) else self.dense
        scaled = {"values": self.values * factor, "wanted": self.wanted * factor}
        return replace(self, **scaled, dense=dense)

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply `function` to every tensor, save an absent dense part or gram."""
        absent = {name for name in ("dense", "gram") if not len(getattr(self, name))}
        parts = vars(self).items()
        return type(self)(**{name: t if name in absent else function(t) for name, t in parts})


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
        """The most unfolded factors that any layer holds."""
        return max(layer.keys.shape[1] for layer in self.layers.values())

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        tensors = [t for layer in self.layers.values() for t in vars(layer).values()]
        return sum(t.nbytes for t in [*tensors, self.pending, self.written])

    def _map(self, function: Callable[[LayerState], LayerState]) -> Self:
        return replace(self, layers={i: function(layer) for i, layer in self.layers.items()})

    def index(self, rows: Rows) -> Self:
        """The given rows, in the given order; a row may be taken several times."""
        rows = self._rows(rows)

        def take(layer: LayerState) -> LayerState:
            layer = layer.map(lambda t: t[rows])
            factors = {"keys": layer.keys, "values": layer.values}
            used = layer.values.detach().ne(0).any(-1).any(0)  # another row's padding goes
            if layer.counts.shape[1]:
                used = layer.counts.detach().ne(0).any(0)
                factors |= {"wanted": layer.wanted, "counts": layer.counts}
            return replace(layer, **{name: t[:, used] for name, t in factors.items()})

        return replace(self._map(take), pending=self.pending[rows], written=self.written[rows])

    def concat(self, others: "FastState | Sequence[FastState]") -> Self:
        """The rows of this state followed by those of the others."""
        states = [self, *([others] if isinstance(others, FastState) else others)]
        layers = {i: _concat([s.layers[i] for s in states]) for i in self.layers}
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

    def fold(self, always: bool = False) -> Self:
        """Sum factors into the dense part in layers where that is smaller, or in all."""
        return self._map(lambda s: s.fold() if always or s.outgrown() else s)

    def detach(self) -> Self:
        """The same values without gradient."""
        return self._map(lambda layer: layer.map(Tensor.detach))

    def to(self, *args: object, **kwargs: object) -> Self:
        """Move or cast like `Tensor.to`; `pending` and `written` are moved, never cast."""
        device = torch.empty(0, device=self.pending.device).to(*args, **kwargs).device
        state = self._map(lambda layer: LayerState(*(t.to(*args, **kwargs) for t in _parts(layer))))
        return replace(state, pending=self.pending.to(device), written=self.written.to(device))

    def save(self, path: str | Path) -> None:
        """Write to one safetensors file, atomically."""
        tensors = {"pending": self.pending, "written": self.written}
        for i, layer in self.layers.items():
            tensors |= {f"{i}.{name}": t for name, t in vars(layer).items()}
        tensors = {name: t.detach().contiguous().cpu() for name, t in tensors.items()}
        with beside(path) as temporary:
            save_file(tensors, temporary, {"layers": json.dumps(sorted(self.layers))})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote, onto the CPU.

        Raises:
            UserError: the file is missing or is no such state.
        """
        if not Path(path).is_file():
            raise UserError(f"{path}: no such file; expected a saved fast-weight state")
        try:
            with safe_open(path, framework="pt") as file:
                layers = {
                    i: LayerState(*(file.get_tensor(f"{i}.{f.name}") for f in fields(LayerState)))
                    for i in json.loads(file.metadata()["layers"])
                }
                return cls(layers, file.get_tensor("pending"), file.get_tensor("written"))
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: not a saved fast-weight state ({error})") from error

    def _rows(self, rows: Rows) -> Tensor:
        """Row numbers `[N]`."""
        rows = torch.as_tensor(rows, device=self.pending.device)
        return rows.nonzero().squeeze(1) if rows.dtype == torch.bool else rows.long()


def _parts(layer: LayerState) -> list[Tensor]:
    return [getattr(layer, f.name) for f in fields(layer)]


def _concat(parts: list[LayerState]) -> LayerState:
    """Stack rows; factors and pending tokens are padded on the right with zeros."""
    weighed = {part.counts.shape[1] > 0 for part in parts if part.keys.shape[1]}
    if any(len(part.dense) for part in parts) or len(weighed) > 1:
        parts = [part if len(part.dense) else part.fold() for part in parts]
    if any(len(part.gram) for part in parts):
        parts = [with_gram(part) for part in parts]

    def stack(tensors: tuple[Tensor, ...]) -> Tensor:
        width = max(t.shape[1] for t in tensors)
        return torch.cat([F.pad(t, _right(t, width - t.shape[1])) for t in tensors])

    return LayerState(*(stack(tensors) for tensors in zip(*map(_parts, parts), strict=True)))


def with_gram(part: LayerState) -> LayerState:
    """The same dense memory with a gram: of zeros, where no key was written by least squares."""
    if len(part.gram):
        return part
    ff = part.gram.shape[1]
    return replace(part, gram=part.dense.new_zeros(len(part.dense), ff, ff))


def _right(t: Tensor, columns: int) -> tuple[int, ...]:
    """Padding for `F.pad`: `columns` more on the right of dimension 1."""
    return (*(0, 0) * (t.ndim - 2), 0, columns)


def _norm(weight: Tensor, like: Tensor) -> Tensor:
    """||W||_F as a scalar like `like`, also of a weight that is sharded over processes."""
    norm = weight.to(like.dtype).norm()
    return norm.full_tensor() if isinstance(norm, DTensor) else norm.to(like.device)
