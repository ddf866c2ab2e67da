"""Which function of a strategy makes numbers that are not finite, found by a step done again."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from .model.memory import Memory
from .strategy import Strategy
from .strategy_calls import Value, mapped, tensors


@dataclass
class _Call:
    """One call of a function: what was not finite before it, after it, and in its gradients."""

    strategy: Strategy
    function: str
    given: bool = False
    returned: bool = False
    gradient_given: bool = False
    gradient_returned: bool = False


@dataclass
class _Watch:
    calls: list[_Call] = field(default_factory=list)

    def over(self, strategy: Strategy) -> Strategy:
        """The strategy with functions that note each call."""
        watched = {name: self._watched(strategy, name) for name in strategy.functions}
        return replace(strategy, functions=watched)

    def _watched(self, strategy: Strategy, name: str) -> Callable:
        def function(memory: Memory, *arguments: Value) -> Value:
            call = _Call(strategy, name)
            self.calls.append(call)

            def returned_gradient(gradient: Tensor) -> None:
                call.gradient_returned |= not torch.isfinite(gradient).all()

            def given_gradient(gradient: Tensor) -> None:
                call.gradient_given |= not torch.isfinite(gradient).all()

            def noted(tensor: Tensor) -> Tensor:
                call.given |= not torch.isfinite(tensor).all()
                # A view, so that the gradient through this call alone is noted.
                tensor = tensor.view_as(tensor)
                if tensor.requires_grad:
                    tensor.register_hook(returned_gradient)
                return tensor

            found = strategy.call(name, memory, *(mapped(value, noted) for value in arguments))
            for tensor in tensors(found):
                call.returned |= not torch.isfinite(tensor).all()
                if tensor.requires_grad:
                    tensor.register_hook(given_gradient)
            return found

        return function


def blamed(model: nn.Module, loss_of: Callable[[nn.Module], Tensor]) -> str:
    """The end of an error: the function or the parameter where NaN or infinity begins.

    Args:
        model: its loss or a gradient of it is not finite; it is not changed.
        loss_of: the loss of a model.
    """
    model, watch = copy.deepcopy(model), _Watch()
    for module in model.modules():
        if isinstance(module, Memory):
            module.strategy = watch.over(module.strategy)
    loss = loss_of(model)
    for call in watch.calls:
        if call.returned and not call.given:
            return _told(call, "returns NaN or infinite values")
    if not torch.isfinite(loss):
        return ""
    model.zero_grad()
    loss.backward()
    for call in watch.calls:
        if call.gradient_returned and not call.gradient_given:
            return _told(call, "has a gradient that is NaN or infinite")
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            return f"; the gradient of {name} is NaN or infinite"
    return ""


def _told(call: _Call, what: str) -> str:
    return f"; {call.function} of {call.strategy.path} {what}"
