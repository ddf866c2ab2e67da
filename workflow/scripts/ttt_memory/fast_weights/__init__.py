"""Fast weights: a memory that a model writes into its own MLPs while it reads a text.

Equation (arXiv 2604.06169, section 3; some are ours)       code                test_fast_weights_*
O_i = Z_i (W + dW_i)^T                                      parallel._read      forms, rules
dW_{i+1} = dW_i + lr V_i^T Z_i                              parallel._append    forms
V = conv(target) P, inside a chunk                          Rule.values         forms
keys of length one (ours)                                   Rule.keys           forms
V - K dW^T, token by token: delta rule (ours)               parallel._update    forms
all tokens at once: least squares (arXiv 2506.05233)        LayerState.solve    forms, rules
decay dW_i (ours)                                           Plan.fade           forms
g_t = clamp(w . u_t / ||u_t|| + b, 0, 1) (ours)             FastLayer.gate      forms, models
y = down(z) + (z K^T) U                                     LayerState.recall   state, models

`config` what can be chosen; `injection` the model with a memory, in its `mlps`; `calls` one pass of
it; `module` its learned parts; `parallel` the write, `naive` the same as a loop (tests only);
`layer_state` and `state` what was written, `least_squares` its algebra, `merging` several put
together; `checkpoint` its files; `published` comparison with the publication's numbers.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .config import FastWeightsConfig

if TYPE_CHECKING:
    from .checkpoint import load, load_state, save, save_state
    from .injection import FastWeights, WriteResult, inject
    from .layer_state import LayerState
    from .state import FastState

__all__ = [
    "FastState",
    "FastWeights",
    "FastWeightsConfig",
    "LayerState",
    "WriteResult",
    "inject",
    "load",
    "load_state",
    "save",
    "save_state",
]

# Reading a configuration takes no torch, which is imported at the first of these names.
_HOMES = {
    "FastState": "state",
    "FastWeights": "injection",
    "LayerState": "layer_state",
    "WriteResult": "injection",
    "inject": "injection",
    "load": "checkpoint",
    "load_state": "checkpoint",
    "save": "checkpoint",
    "save_state": "checkpoint",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
