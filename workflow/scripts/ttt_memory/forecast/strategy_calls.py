"""One call of a strategy's function on random numbers, and all that it must do.

It is called as in a forecast and as in training. What it returns has the right shapes and is
finite. Each row depends on that row of the arguments alone. Gradients pass from every argument
that the result depends on, and they are finite.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .model.memory import Memory
from .network import State

Value = Tensor | State | tuple[Tensor, Tensor]


def checked(
    memory: Memory, function: str, expect: Callable[[object], None], **arguments: Value
) -> Value:
    """What `function` returns for `arguments`, after every check of it.

    Args:
        memory: the memory that the function is given first.
        function: its name.
        expect: raises if the result has not the right kind, shapes and finite values.
        arguments: all others by name, in order; dimension 0 of every tensor is the series.

    Raises:
        UserError: names strategy, file, function, what was found and what was expected.
    """
    given = {name: mapped(value, torch.clone) for name, value in arguments.items()}
    found = memory.strategy.call(function, memory, *given.values())
    for name, value in given.items():
        # A copy has version 0, and each change in place counts.
        if any(tensor._version for tensor in tensors(value)):
            raise memory.strategy.error(
                function, f"changes its argument {name} in place; expected new tensors"
            )
    expect(found)
    for row in range(len(next(t for value in arguments.values() for t in tensors(value)))):
        alone = {name: _row(value, row) for name, value in arguments.items()}
        one = memory.strategy.call(function, memory, *alone.values())
        if not _same(_row(found, row), one):
            raise memory.strategy.error(
                function,
                "the series of a batch influence each other; expected each row of dimension 0 to"
                " depend on that row alone",
            )
    _check_gradients(memory, function, found, arguments)
    return found


def _check_gradients(
    memory: Memory, function: str, found: Value, arguments: dict[str, Value]
) -> None:
    """Gradients pass from each argument that changes what the function returns, and are finite."""
    leaves = {name: _leaves(value) for name, value in arguments.items()}
    with torch.enable_grad():
        recorded = memory.strategy.call(function, memory, *leaves.values())
    outputs = [tensor for tensor in tensors(recorded) if tensor.requires_grad]
    inputs = {name: list(tensors(value)) for name, value in leaves.items()}
    reached = check_finite_gradient(memory, function, outputs, inputs)
    for name, value in arguments.items():
        if name in reached or not inputs[name]:
            continue
        others = {**arguments, name: _moved(value)}
        if not _same(memory.strategy.call(function, memory, *others.values()), found):
            raise memory.strategy.error(
                function,
                f"no gradient passes from {name}, although what it returns depends on it; expected"
                " differentiable operations, without detach, .data or no_grad",
            )


def check_finite_gradient(
    memory: Memory, function: str, outputs: list[Tensor], inputs: dict[str, list[Tensor]]
) -> set[str]:
    """The names of the inputs that a gradient of `outputs` reaches; all gradients are finite."""
    places = [(name, tensor) for name, parts in inputs.items() for tensor in parts]
    places += [
        (f"memory.{name}", parameter)
        for name, parameter in memory.named_parameters()
        if parameter.requires_grad
    ]
    if not outputs:
        return set()
    gradients = torch.autograd.grad(
        outputs,
        [tensor for _, tensor in places],
        [torch.randn_like(tensor) for tensor in outputs],
        allow_unused=True,
    )
    reached = set()
    for (name, _), gradient in zip(places, gradients, strict=True):
        if gradient is None:
            continue
        reached.add(name)
        if not torch.isfinite(gradient).all():
            raise memory.strategy.error(
                function,
                f"its gradient with respect to {name} is NaN or infinite; expected a finite one:"
                " keep square roots, norms and divisions away from zero",
            )
    return reached


def tensors(value: Value) -> Iterator[Tensor]:
    """The tensors of floating point in an argument or a result."""
    parts = value.values() if isinstance(value, dict) else value
    for tensor in [value] if isinstance(value, Tensor) else parts:
        if tensor.is_floating_point():
            yield tensor


def mapped(value: Value, change: Callable[[Tensor], Tensor]) -> Value:
    """An argument or a result with every tensor of it changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {name: change(tensor) for name, tensor in value.items()}
    return tuple(change(tensor) for tensor in value)


def _row(value: Value, row: int) -> Value:
    return mapped(value, lambda tensor: tensor[row : row + 1])


def _leaves(value: Value) -> Value:
    def leaf(tensor: Tensor) -> Tensor:
        return tensor.detach().clone().requires_grad_(tensor.is_floating_point())

    return mapped(value, leaf)


def _moved(value: Value) -> Value:
    def moved(tensor: Tensor) -> Tensor:
        return tensor + 0.1 * torch.randn_like(tensor) if tensor.is_floating_point() else tensor

    return mapped(value, moved)


def _same(one: Value, other: Value) -> bool:
    """Whether two results agree but for rounding."""
    if isinstance(one, dict) and one.keys() != other.keys():
        return False
    pairs = zip(tensors(one), tensors(other), strict=True)
    return all(
        a.shape == b.shape and torch.allclose(a, b, atol=1e-4, rtol=1e-3, equal_nan=True)
        for a, b in pairs
    )
