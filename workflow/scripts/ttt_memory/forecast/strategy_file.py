"""Recognise a strategy file in the published style by its text, before it is run.

The published task's functions keep their state on `memory`, have no dimension for series and ask
`torch.autograd` for gradients. One memory then serves all series, and nothing can be recorded for
the training to differentiate. The guide says how to rewrite such a file.
"""

import ast
import re
from collections.abc import Iterator, Mapping

GUIDE = "docs/strategies.md#from-the-published-style-to-this-one"
# Arguments by which the published task's functions are known, and those that may be another name
# for one of ours.
PUBLISHED, LIKELY = {"fast_W", "fast_S"}, {"grad", "grads", "gradient", "gradients", "loss"}
CHANGES = "expected functions that take the state, with a row for each series, and return the new"


def published_style(tree: ast.Module, functions: Mapping[str, tuple[str, ...]]) -> str | None:
    """By what a strategy is in the published style, and what to do; None if it is not.

    Args:
        tree: the parsed file.
        functions: the arguments of each function that the file may define, in order.
    """
    found = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name in functions
    }
    for name, node in found.items():
        if sign := _published(node, functions[name]):
            return f"is written in the published style: {name} {sign}; {CHANGES}: see {GUIDE}"
    return None


def _published(node: ast.FunctionDef, arguments: tuple[str, ...]) -> str | None:
    """By what a function is known to be in the published style."""
    given = [argument.arg for argument in node.args.args]
    line = f"(line {node.lineno})"
    if node.name != "init_memory_state":
        strange = PUBLISHED | (LIKELY if len(given) != len(arguments) else set())
        if strange := strange.intersection(given) - set(arguments):
            return f"{line} takes {', '.join(a for a in given if a in strange)}"
        few = len(given) < len(arguments) and not node.args.vararg
        if "state" in arguments and few and "state" not in given:
            return f"{line} takes no state"
    if not given:
        return None
    for inner in ast.walk(node):
        if node.name != "init_memory_state" and (kept := _kept(inner, given[0])):
            return f"(line {inner.lineno}) keeps {kept} from one chunk to the next"
        if isinstance(inner, ast.Call) and _asks_autograd(inner.func):
            return (
                f"(line {inner.lineno}) calls {ast.unparse(inner.func)}, which cannot run where"
                " nothing is recorded; torch.func.grad with vmap can"
            )
    return None


def _kept(node: ast.AST, memory: str) -> str | None:
    """What `node` changes on `memory`, or of its parameters' data."""
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.Call):
        targets = list(_changed(node, memory))
    else:
        return None
    for place in (part for target in targets for part in _parts(target)):
        if isinstance(place, ast.Attribute) and place.attr == "data":
            return ast.unparse(place)
        root = place
        while isinstance(root, ast.Attribute | ast.Subscript):
            root = root.value
        if root is not place and isinstance(root, ast.Name) and root.id == memory:
            return ast.unparse(place)
    return None


def _parts(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            yield from _parts(part)
    else:
        yield target


def _changed(node: ast.Call, memory: str) -> Iterator[ast.expr]:
    """What a call changes: the tensor of `memory.x.add_()`, or the name that `setattr` sets."""
    function = node.func
    if isinstance(function, ast.Attribute) and re.fullmatch(r"[a-z]\w*_", function.attr):
        yield function.value
    elif ast.unparse(function) == "setattr" and node.args and ast.unparse(node.args[0]) == memory:
        yield ast.Attribute(node.args[0], "...", ast.Store())


def _asks_autograd(function: ast.expr) -> bool:
    """Whether a call is `torch.autograd.grad`, however imported, or `backward`."""
    text = ast.unparse(function)
    return text.endswith(("autograd.grad", "autograd.backward", ".backward"))
