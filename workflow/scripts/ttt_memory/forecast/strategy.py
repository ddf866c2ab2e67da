"""A memory strategy is a Python file: where it is found, and what it must define."""

import hashlib
import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import UserError

FOLDER = Path(__file__).parent / "strategies"

# Parameters of each function, in order. The first four are required, the others are hooks.
REQUIRED = {
    "init_memory_state": ("memory", "emb_dim"),
    "compute_keys_values": ("memory", "x"),
    "compute_surprise": ("memory", "state", "keys", "values", "gates"),
    "apply_update": ("memory", "state", "surprise", "gates"),
}
HOOKS = {
    "compute_gates": ("memory", "x"),
    "compute_queries": ("memory", "x"),
    "retrieve": ("memory", "state", "queries"),
}


@dataclass(frozen=True)
class Strategy:
    """The functions of one strategy file, its options, and how to name it in an error."""

    name: str
    path: Path
    functions: dict[str, Callable]
    options: dict[str, Any] = field(default_factory=dict)

    def has(self, function: str) -> bool:
        """Whether the file defines this hook."""
        return function in self.functions

    def call(self, function: str, *arguments: Any) -> Any:
        """Call a function of the file; whatever it raises names the strategy and the function.

        Raises:
            UserError: the function raised.
        """
        try:
            return self.functions[function](*arguments)
        except UserError:
            raise
        except Exception as error:
            raise self.error(function, f"{type(error).__name__}: {error}") from error

    def error(self, function: str, message: str) -> UserError:
        """A `UserError` that names the strategy, its file and the function."""
        return UserError(f"strategy {self.name!r} ({self.path}), {function}: {message}")
