"""Update rules: how the tokens of a text change the fast weights. One file each.

`RULES` names the built-in ones; a path ending in .py names a user's own (docs/update-rules.md).
This module imports no rule: so the workflow reads what a rule declares without importing torch, and
a rule's file is an input of those jobs alone that use it.
"""

import ast
import importlib.util
from collections.abc import Mapping
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
        UserError: there is no such file, it is not Python, or a constant is not a literal.
    """
    path = path_of(update)
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
        found = {name: ast.literal_eval(value) for name, value in _constants(tree)}
    except OSError as error:
        raise UserError(f"{path}: found no such file, expected an update rule") from error
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path}: expected Python with literal constants ({error})") from error
    return Declared(found.get("ORDERED", True), found.get("REQUIRES", {}))


@cache
def load(update: str) -> "UpdateRule":
    """The rule that `update` names.

    Raises:
        UserError: as `path_of`; or the file cannot be imported, or defines no class `Rule`.
    """
    # Not by an import statement: pretraining reads configurations, but depends on no rule's code.
    base = import_module(".base", __name__)
    rule = getattr(_module(update), "Rule", None)
    if not (isinstance(rule, type) and issubclass(rule, base.UpdateRule)):
        raise UserError(f"{path_of(update)}: expected a class Rule(UpdateRule), found {rule!r}")
    try:
        return rule()
    except TypeError as error:  # an abstract method is missing
        raise UserError(f"{path_of(update)}: {error}") from error


def naive_step(update: str) -> Any:
    """The rule's oracle, a function `naive_step`; None where a user's file has none."""
    return getattr(_module(update), "naive_step", None)


@cache
def _module(update: str) -> ModuleType:
    path = path_of(update)
    if update in RULES:
        return import_module(f".{update}", __name__)
    if not path.is_file():
        raise UserError(f"{path}: found no such file, expected an update rule")
    spec = importlib.util.spec_from_file_location(f"ttt_memory_rule_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{path}: {type(error).__name__}: {error}") from error
    return module


def _constants(tree: ast.Module) -> list[tuple[str, ast.expr]]:
    """The declarations among the top-level assignments."""
    return [
        (target.id, node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in ("ORDERED", "REQUIRES")
    ]
