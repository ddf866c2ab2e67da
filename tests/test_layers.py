"""The layers of the library: what may import what, and that no modules import each other."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from clone import ROOT

SCRIPTS = ROOT / "workflow" / "scripts"
LIBRARY = "ttt_memory"

# By package or module: what it may import beside itself. The longest name that fits counts.
FOUNDATIONS = "errors io options vocabulary"
METHODS = f"{FOUNDATIONS} benchmark fast_weights scoring"
CONVERSATION = f"{METHODS} conversation.config conversation.schemas"
MODELS = f"{CONVERSATION} conversation.prompts"
STUDIES = f"{METHODS} conversation forecast"
MAY_IMPORT = {
    "errors": "",
    "vocabulary": "",
    "io": "errors",
    "options": "errors",
    "benchmark": FOUNDATIONS,
    "fast_weights": FOUNDATIONS,
    "scoring": f"{FOUNDATIONS} benchmark",
    "conversation.config": METHODS,
    "conversation.schemas": METHODS,
    "conversation.prompts": CONVERSATION,
    "conversation.models": MODELS,
    "conversation.recall": f"{MODELS} conversation.models cost.model",
    "conversation.train": f"{MODELS} conversation.models",
    "forecast": METHODS,
    "study": f"{STUDIES} report",
    "report": f"{STUDIES} study",
    "cost": f"{STUDIES} study report",
    # Formulas of shapes: what recall counts FLOPs with.
    "cost.model": f"{FOUNDATIONS} fast_weights cost.roofline",
    "cost.roofline": "",
    "chat": f"{STUDIES} study report cost.model",
    # Scripts may import everything in the library, but not each other.
    "": f"{STUDIES} study report cost chat",
}


@cache
def modules() -> dict[str, Path]:
    """The file of every module of the library and of every script, by dotted name."""
    files = [*SCRIPTS.glob("*.py"), *(SCRIPTS / LIBRARY).rglob("*.py")]
    return {".".join(_parts(file)): file for file in sorted(files)}


def _parts(file: Path) -> tuple[str, ...]:
    parts = file.relative_to(SCRIPTS).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imported(name: str) -> set[str]:
    """The modules of this project that `name` imports, in functions too.

    Imports under TYPE_CHECKING do not count: they are for annotations, or they name what an
    `__init__` loads when it is asked for.
    """
    file = modules()[name]
    package = _parts(file) if file.name == "__init__.py" else _parts(file)[:-1]
    found = {_module(target) for target in _targets(ast.parse(file.read_bytes()), package)}
    return found & modules().keys() - {name}


def _targets(node: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    """The dotted names that are imported in `node`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else ()
        source = [*base, *([node.module] if node.module else [])]
        yield from (".".join([*source, alias.name]) for alias in node.names)
    late = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    for child in node.orelse if late else ast.iter_child_nodes(node):
        yield from _targets(child, package)


def _module(target: str) -> str:
    """The module of a dotted name, whose last part may be a name in that module."""
    return target if target in modules() else target.rpartition(".")[0]


def layer(name: str) -> str:
    """The entry of MAY_IMPORT for a module."""
    path = name.removeprefix(LIBRARY).removeprefix(".") if name.startswith(LIBRARY) else ""
    return max((key for key in MAY_IMPORT if _within(path, key)), key=len)


def _within(path: str, package: str) -> bool:
    return not package or path == package or path.startswith(f"{package}.")


def forbidden() -> Iterator[str]:
    """Every import that the table does not allow."""
    for name in modules():
        own = layer(name)
        allowed = [own or "no script", *MAY_IMPORT[own].split()]
        for other in sorted(imported(name)):
            path = other.removeprefix(f"{LIBRARY}.")
            if not other.startswith(f"{LIBRARY}.") or not any(
                _within(path, package) for package in allowed
            ):
                yield f"{name} imports {other}, expected one of: {' '.join(allowed)}"


def test_every_import_goes_to_an_allowed_layer() -> None:
    found = list(forbidden())
    assert not found, "\n" + "\n".join(found)


def cycles(graph: dict[str, set[str]]) -> Iterator[str]:
    """Cycles of `graph`, until one import of each is removed."""
    while True:
        try:
            TopologicalSorter(graph).prepare()
            return
        except CycleError as error:
            cycle = error.args[1]
            yield " <- ".join(cycle)
            graph = graph | {cycle[1]: graph[cycle[1]] - {cycle[0]}}


def test_no_modules_import_each_other() -> None:
    found = list(cycles({name: imported(name) for name in modules()}))
    assert not found, "\n" + "\n".join(found)


def test_every_cycle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert sorted(len(cycle.split(" <- ")) for cycle in cycles(graph)) == [3, 4]


def test_the_table_names_only_what_exists() -> None:
    named = {*MAY_IMPORT, *" ".join(MAY_IMPORT.values()).split()}
    known = {name.removeprefix(LIBRARY).removeprefix(".") for name in modules()}
    assert sorted(named - known) == []


def test_every_module_of_the_library_has_a_layer() -> None:
    bare = [name for name in modules() if name.startswith(f"{LIBRARY}.") and not layer(name)]
    assert [name for name in bare if name != f"{LIBRARY}.conversation"] == []


def test_imports_are_found_in_functions_and_not_under_type_checking() -> None:
    tree = ast.parse(
        "import a.b\n"
        "from ..c import d\n"
        "def f():\n    from . import e\n"
        "if TYPE_CHECKING:\n    from .late import x\nelse:\n    from .used import y\n"
    )
    assert set(_targets(tree, ("p", "q"))) == {"a.b", "p.c.d", "p.q.e", "p.q.used.y"}
