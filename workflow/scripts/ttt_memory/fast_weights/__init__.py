"""Fast weights: changes of a model's MLPs that are written while it processes a text.

Equation (arXiv 2604.06169, section 3, unless marked)   code                    tests
O_i = Z_i (W + dW_i)^T                                  FactorRule.write        test_forms
dW_{i+1} = dW_i + lr V_i^T Z_i                          rules/hebbian.py        test_forms
V = conv(target) P, inside a chunk                      KeysAndValues.values    test_forms
keys of length one (ours)                               KeysAndValues.keys      test_forms
V - K dW^T, token by token (arXiv 2102.11174)           rules/delta.py          test_forms
least squares over all tokens (arXiv 2506.05233)        rules/mesa.py           test_forms
decay dW_i (ours)                                       ChunkPlan.fade          test_forms
recency of texts (ours)                                 RuleState.age           test_invariants
g_t = clamp(w . u_t / ||u_t|| + b, 0, 1) (ours)         FastLayer.gate          test_models
y = down(z) + z dW^T                                    FactorState.read        test_models
dW ~ its largest singular vectors (ours)                compact.py              test_compact

`injection` gives a model fast weights; `passes` is one forward pass of it; `layer` holds the
learned parts; `chunks` and `write` write one piece of text by one of the `rules`; `state` is what
was written; `checkpoint` its files; `naive` the same as a loop (tests only); `reference` compares
with numbers of the published code.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .config import FastWeightsConfig

if TYPE_CHECKING:
    from .checkpoint import load, load_state, save, save_state
    from .injection import FastWeights, WriteResult, inject
    from .state import FastState, LayerState

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

# A configuration is read without torch, which is imported at the first of these names.
_HOMES = {
    "FastState": "state",
    "FastWeights": "injection",
    "LayerState": "state",
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
