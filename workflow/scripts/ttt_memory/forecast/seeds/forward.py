"""Three ways to run a forecaster for S seeds: alone, by `vmap`, and with its memories folded.

Each is called with the tensors in which the seeds differ, {name: [S, ...]}, and inputs
[S, B, T, channels]; it returns forecasts [S, B, T, H]. `Alone` is the plain forecaster and the
other two must agree with it, which `probe` checks before each training of several seeds.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call, vmap

from .. import network
from ..model.mac_titan import MACTitan
from ..model.memory import Memory, write
from ..network import State

Forward = Callable[[dict[str, Tensor], Tensor], Tensor]


class Alone:
    """The forecaster as it is, for one seed."""

    def __init__(self, model: nn.Module):
        self.model = model

    def __call__(self, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        own = {name: tensor[0] for name, tensor in tensors.items()}
        return functional_call(self.model, own, (inputs[0],)).unsqueeze(0)


class Vmapped:
    """The whole forecaster under `vmap`, which refuses random numbers and `if` on a tensor."""

    def __init__(self, model: nn.Module):
        self.model = model

    def __call__(self, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        return vmap(lambda own, x: functional_call(self.model, own, (x,)))(tensors, inputs)


class Folded:
    """A MAC Titan whose memories are written for the series of all seeds as for one large batch.

    The rows of a memory's batch do not influence each other, so it does not matter that they are
    of different seeds. The functions that write a chunk then need no `vmap`, which makes each of
    their operations dearer. They may not use trained values of the memory, which differ between
    the rows.

    Raises:
        UserError: a function that writes uses a trained value; its cause is a `NeedsParameters`.
    """

    def __init__(self, model: MACTitan):
        self.model = model
        self.bare = [layer.memory and Bare(layer.memory) for layer in model.layers]

    def __call__(self, tensors: dict[str, Tensor], inputs: Tensor) -> Tensor:
        top = {name: part for name, part in tensors.items() if not name.startswith("layers.")}
        stream, samples = _each(self.model, "embed", top, inputs)
        for index, layer in enumerate(self.model.layers):
            own = _below(f"layers.{index}", tensors)
            states = {} if layer.memory is None else self._states(index, own, stream)
            stream = _each(layer, "attend", own, stream, samples, states)
        return _each(self.model, "forecast", top, stream, inputs)

    def _states(self, index: int, own: dict[str, Tensor], stream: Tensor) -> State:
        """The states [S, B * n, ...] before each chunk of the stream [S, B, n, C, E]."""
        memory, (seeds, batch) = self.model.layers[index].memory, stream.shape[:2]
        own = _below("memory", own)
        keys, values, gates = _each(memory, "prepare", own, stream)
        start = {}
        for name, tensor in memory.start(1).items():
            rows = own.get(f"start_{name}", tensor.unsqueeze(0))  # [S or 1, 1, ...]
            start[name] = rows.expand(seeds, batch, *rows.shape[2:]).flatten(0, 1)
        states = write(
            memory.strategy,
            self.bare[index],
            start,
            keys.flatten(0, 1),
            values.flatten(0, 1),
            {name: gate.flatten(0, 1) for name, gate in gates.items()},
        )
        return {name: state.unflatten(0, (seeds, -1)) for name, state in states.items()}


class NeedsParameters(Exception):
    """A function of a strategy asked a `Bare` memory for what differs between seeds."""


class Bare:
    """What is alike in the memories of all seeds: sizes, options, `clip`, plain attributes."""

    def __init__(self, memory: Memory):
        self._memory = memory
        self.options, self.inner_clip = memory.options, memory.inner_clip
        self.emb_dim, self.hidden, self.depth = memory.emb_dim, memory.hidden, memory.depth

    def clip(self, gradient: State) -> State:
        """As `Memory.clip`."""
        return network.clip(gradient, self.inner_clip)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._memory, name)
        if callable(value) or isinstance(value, Tensor):
            raise NeedsParameters(f"it uses memory.{name}")
        return value


class _Method(nn.Module):
    """A method of a module as the `forward` that `functional_call` calls."""

    def __init__(self, module: nn.Module, name: str):
        super().__init__()
        self.module, self.name = module, name

    def forward(self, *arguments: Any) -> Any:
        return getattr(self.module, self.name)(*arguments)


def _each(module: nn.Module, name: str, tensors: dict[str, Tensor], *arguments: Any) -> Any:
    """A method of `module` for every seed: with row s of `tensors` and of all arguments."""
    method = _Method(module, name)
    own = {f"module.{key}": tensor for key, tensor in tensors.items()}
    return vmap(lambda mine, given: functional_call(method, mine, given))(own, arguments)


def _below(part: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a part of a module, by their names in that part."""
    prefix = f"{part}."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
