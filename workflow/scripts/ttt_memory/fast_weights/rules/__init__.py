"""Update rules: how the tokens of a text change the fast weights. One file each.

`RULES` names the built-in ones; a path ending in .py names a user's own (docs/update-rules.md).
This module imports no rule: so the workflow reads what a rule declares without importing torch, and
a rule's file is an input of those jobs alone that use it.
"""

import ast
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ...errors import UserError

if TYPE_CHECKING:
    from .base import UpdateRule

RULES = ("hebbian", "delta", "mesa")


@dataclass(frozen=True)
class Declared:
    """What a rule's file says in constants at its top level."""

    ordered: bool  # ORDERED, True unless declared: what is written depends on the order of tokens
    requires: Mapping[str, Any]  # REQUIRES: keys of FastWeightsConfig and the value each must have


def path_of(update: str) -> Path:
    """The file of the rule that `update` names.

    Raises:
        UserError: it is neither the name of a rule nor a path that ends in .py.
    """
    if update in RULES:
        return Path(__file__).parent / f"{update}.py"
    if not update.endswith(".py"):
        raise UserError(f"found {update!r}, expected one of {', '.join(RULES)}, or a .py file")
    return Path(update)


def declared(update: str) -> Declared:
    """What the rule's file declares, read without importing it.

    Raises:
        UserError: there is no such file, it is not Python, it defines no `Rule`, or a constant is
            not the literal that is expected.
    """
    path = path_of(update)
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
        found = {name: ast.literal_eval(value) for name, value in _constants(tree)}
    except OSError as error:
        raise UserError(f"{path}: found no such file, expected an update rule") from error
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path}: expected Python with literal constants ({error})") from error
    if "Rule" not in _names(tree):
        raise UserError(f"{path}: found no class Rule, expected an update rule")
    ordered, requires = found.get("ORDERED", True), found.get("REQUIRES", {})
    if not isinstance(ordered, bool):
        raise UserError(f"{path}: found ORDERED {ordered!r}, expected True or False")
    if not isinstance(requires, dict):
        raise UserError(f"{path}: found REQUIRES {requires!r}, expected a dictionary of keys")
    return Declared(ordered, requires)


@cache
def load(update: str) -> "UpdateRule":
    """The rule that `update` names.

    Raises:
        UserError: as `declared`; or the file cannot be imported, or its `Rule` is not complete.
    """
    path, mergeable = path_of(update), not declared(update).ordered
    # Not by an import statement: pretraining reads configurations, but depends on no rule's code.
    base, factors = (import_module(f".{name}", __name__) for name in ("base", "factors"))
    rule = getattr(_module(update), "Rule", None)
    if not (isinstance(rule, type) and issubclass(rule, base.UpdateRule)):
        raise UserError(f"{path}: expected a class Rule(UpdateRule), found {rule!r}")
    state = getattr(rule, "State", None)
    own = isinstance(state, type) and issubclass(state, base.RuleState)
    if not own or state is factors.FactorState:
        raise UserError(f"{path}: expected Rule.State, a class of its own, found {state!r}")
    if state.mergeable != mergeable:
        raise UserError(
            f"{path}: found {state.__name__}.mergeable {state.mergeable}, expected {mergeable}:"
            " the opposite of ORDERED"
        )
    try:
        return rule()
    except TypeError as error:  # an abstract method is missing
        raise UserError(f"{path}: {error}") from error


def naive_step(update: str) -> Any:
    """The rule's oracle, a function `naive_step`; None where a user's file has none."""
    return getattr(_module(update), "naive_step", None)


def naive_age(update: str) -> Any:
    """The oracle of what becomes of dW when a text begins: by default all of it is multiplied."""
    return getattr(_module(update), "naive_age", lambda dw, factor, memo: factor * dw)


@cache
def _module(update: str) -> ModuleType:
    path = path_of(update)
    if update in RULES:
        return import_module(f".{update}", __name__)
    if not path.is_file():
        raise UserError(f"{path}: found no such file, expected an update rule")
    name = f"ttt_memory_rule_{path.stem}_{abs(hash(path.resolve())):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"{path}: {type(error).__name__}: {error}") from error
    return module


def _constants(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """The declarations among the top-level assignments."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) and node.value else targets
        for target in targets:
            if isinstance(target, ast.Name) and target.id in ("ORDERED", "REQUIRES"):
                yield target.id, node.value


def _names(tree: ast.Module) -> set[str]:
    """The classes defined, and the names imported, at the top level."""
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    return classes.union(alias.asname or alias.name for node in imports for alias in node.names)
