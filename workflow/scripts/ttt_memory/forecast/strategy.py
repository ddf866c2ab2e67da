"""Strategy and baseline files: where they are found, what they must define, and their import.

The functions of a strategy, for B series of N tokens of width E:

    init_memory_state(memory, emb_dim) -> {name: tensor [1, ...]}   called once, when built
    compute_keys_values(memory, x [B, N, E]) -> keys [B, N, K], values [B, N, V]
    compute_surprise(memory, state, keys, values, gates) -> {name: tensor [B, ...]}
    apply_update(memory, state, surprise, gates) -> state, with the same names and shapes

Optional functions:

    compute_gates(memory, x [B, N, E]) -> {name: tensor [B, ...]}   default: no gates
    compute_queries(memory, x [B, N, E]) -> [B, N, K]               default: the keys of x
    retrieve(memory, state, queries [B, N, K]) -> [B, N, E]         default: the memory network
"""

import ast
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import UserError
from .config import EntryConfig, ForecastConfig
from .strategy_file import GUIDE, published_style

STRATEGIES = Path(__file__).parent / "strategies"
BASELINES = Path(__file__).parent / "baselines"

# The arguments of each function, in order. Strategies must define the first four.
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
    """The functions and options of one strategy file."""

    name: str
    path: Path
    functions: dict[str, Callable]
    options: dict[str, Any]

    def has(self, function: str) -> bool:
        """Whether the file defines this function."""
        return function in self.functions

    def call(self, function: str, *arguments: Any) -> Any:
        """Call a function of the file.

        Raises:
            UserError: the function raised; the message names strategy, file and function.
        """
        try:
            return self.functions[function](*arguments)
        except UserError:
            raise
        except Exception as error:
            told = " ".join(f"{type(error).__name__}: {error}".split())
            if "does not require grad" in told:
                told += (
                    "; where nothing is recorded, torch.autograd finds no gradient, and"
                    f" torch.func.grad with vmap does: see {GUIDE}"
                )
            raise self.error(function, told) from error

    def error(self, function: str, message: str) -> UserError:
        """A `UserError` that names the strategy, its file and the function."""
        return UserError(f"strategy {self.name!r} ({self.path}), {function}: {message}")


def path_of(entry: EntryConfig, folder: Path) -> Path:
    """The file that an entry names: a path, or the name of a built-in file in `folder`."""
    if entry.file.endswith(".py") or "/" in entry.file:
        return Path(entry.file)
    return folder / f"{entry.file}.py"


def own_entries(config: ForecastConfig) -> Iterator[tuple[str, str, EntryConfig]]:
    """The key, the name and the entry of each strategy and baseline that is not built in."""
    for kind, folder in (("strategies", STRATEGIES), ("baselines", BASELINES)):
        for name, entry in getattr(config, kind).items():
            if path_of(entry, folder).resolve().parent != folder.resolve():
                yield kind, name, entry


def load(name: str, entry: EntryConfig) -> Strategy:
    """The strategy that `entry` names.

    Raises:
        UserError: there is no such file, it cannot be imported, a function is missing or has
            another signature, or an option is unknown or has another type.
    """
    path = path_of(entry, STRATEGIES)
    module = import_file(f"strategy {name!r}", path, STRATEGIES)
    if found := published_style(ast.parse(path.read_bytes()), {**REQUIRED, **HOOKS}):
        raise UserError(f"strategy {name!r} ({path}) {found}")
    functions = {}
    for function, arguments in {**REQUIRED, **HOOKS}.items():
        found = getattr(module, function, None)
        if found is None and function in HOOKS:
            continue
        if not callable(found):
            raise UserError(
                f"strategy {name!r} ({path}): function {function}({', '.join(arguments)}) is "
                f"missing; a strategy must define {', '.join(REQUIRED)}"
            )
        _check_signature(f"strategy {name!r} ({path})", function, found, arguments)
        functions[function] = found
    defaults = getattr(module, "OPTIONS", {})
    return Strategy(name, path, functions, options_of(f"strategy {name!r}", defaults, entry))


def import_file(what: str, path: Path, folder: Path) -> ModuleType:
    """Import a Python file by its path.

    The module belongs to no package, so the file imports this library by its full name.

    Args:
        what: what the file is, for errors.
        path: the file.
        folder: where the built-in files of its kind lie, for errors.

    Raises:
        UserError: there is no such file, or importing it raised.
    """
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.py")))
        raise UserError(f"{what}: no such file {path}; expected a .py file or one of {known}")
    spec = importlib.util.spec_from_file_location(f"ttt_memory_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{what} ({path}): {type(error).__name__}: {error}") from error
    return module


def options_of(what: str, defaults: Mapping[str, Any], entry: EntryConfig) -> dict[str, Any]:
    """A file's OPTIONS with the values of `entry` laid over them; `what` begins errors.

    Raises:
        UserError: a key is not in OPTIONS, its value has another type than there, or it is a whole
            number below 1 where that of OPTIONS is not.
    """
    for key, value in entry.options.items():
        if key not in defaults:
            known = ", ".join(sorted(defaults)) or "none"
            raise UserError(f"{what}: unknown option {key!r}; expected one of: {known}")
        default = defaults[key]
        kinds = (int, float) if isinstance(default, float) else type(default)
        if default is not None and (
            not isinstance(value, kinds) or isinstance(value, bool) != isinstance(default, bool)
        ):
            raise UserError(f"{what}: option {key} is {value!r}, expected {type(default).__name__}")
        if type(default) is int and value < 1 <= default:
            raise UserError(f"{what}: option {key} is {value}, expected at least 1")
    return {**defaults, **entry.options}


def _check_signature(where: str, name: str, function: Callable, arguments: tuple) -> None:
    signature = inspect.signature(function)
    wanted = f"{where}: found {name}{signature}, expected {name}({', '.join(arguments)})"
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise UserError(f"{wanted} ({error})") from error
    # Arguments may have other names, but known names in another order are a mistake.
    known = [parameter for parameter in signature.parameters if parameter in arguments]
    if known != sorted(known, key=arguments.index):
        raise UserError(f"{wanted}, in this order")
