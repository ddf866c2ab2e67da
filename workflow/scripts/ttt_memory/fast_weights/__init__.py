"""Fast weights: a memory that a model writes into its own MLPs while it reads a text.

`config` what can be chosen; `inject` the model with a memory; `module` its learned parts;
`calls` one pass of it; `parallel` the write, `naive` the same as a loop (tests); `state` what
was written; `checkpoint` files. Equations: arXiv 2604.06169, section 3, and `config`.
"""

from .checkpoint import load, save
from .config import FastWeightsConfig
from .inject import FastWeights, WriteResult, inject
from .state import FastState, LayerState

__all__ = [
    "FastState",
    "FastWeights",
    "FastWeightsConfig",
    "LayerState",
    "WriteResult",
    "inject",
    "load",
    "save",
]
