"""Which first-party files a script depends on, found without running it.

The workflow declares them as inputs of the rule, so that an edit reruns exactly the rules
whose code it touches.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

# The conditions under which imports do not run.
LATE = ("TYPE_CHECKING", "typing.TYPE_CHECKING")


@cache
def closure(script: Path, root: Path | None = None) -> tuple[Path, ...]:
    """`script`, every module below `root` that it imports, however deep, and their data files.

    Imports are read from the syntax tree, those inside functions included. A package brings
    its `__init__.py` and the files that are not Python in its folder and in subfolders that
    are not packages themselves. What an `__init__.py` imports under `if TYPE_CHECKING` is what
    the package offers but loads late: it counts for whoever imports that name or the package,
    not for whoever imports a submodule. Sorted. `root` is the script's folder unless given.

    Raises:
        FileNotFoundError: there is no such script.
        SyntaxError: one of the files is not valid Python.
    """
    root = root or script.parent
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        if file.name == "__init__.py":
            found.update(_data(file.parent))
        for name in _imports(file, root):
            waiting.extend(_files(name, root))
    return tuple(sorted(found))


def fingerprint(files: Iterable[Path], *texts: str) -> str:
    """Sixteen hexadecimal digits that change with any of the files' contents or the texts."""
    digest = hashlib.sha256()
    for part in [*(file.read_bytes() for file in files), *(text.encode() for text in texts)]:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


@cache
def _imports(file: Path, root: Path) -> tuple[str, ...]:
    """Dotted names that running `file` imports; of `from a import b`, as of `import a.b`, `a.b`."""
    found: list[str] = []
    waiting: list[ast.AST] = [ast.parse(file.read_bytes(), filename=str(file))]
    while waiting:
        node = waiting.pop()
        found.extend(name for _, name in _names(node, file, root))
        # Nothing under TYPE_CHECKING runs; the other branch does.
        waiting.extend(node.orelse if _is_late(node) else ast.iter_child_nodes(node))
    return tuple(found)


@cache
def _offers(package: Path, root: Path) -> dict[str, str]:
    """What a package loads late: the names it gives, and the dotted names they stand for."""
    file = package / "__init__.py"
    tree = ast.parse(file.read_bytes(), filename=str(file))
    late = [node for block in ast.walk(tree) if _is_late(block) for node in block.body]
    return dict(pair for node in late for pair in _names(node, file, root))


def _is_late(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in LATE


def _names(node: ast.AST, file: Path, root: Path) -> Iterator[tuple[str, str]]:
    """What `node` imports: the name it is given in `file`, and the dotted name it has."""
    if isinstance(node, ast.Import):
        yield from ((alias.asname or alias.name, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = file.parent.relative_to(root).parts if file.is_relative_to(root) else ()
        base = package[: len(package) - node.level + 1] if node.level else ()
        module = [*base, *([node.module] if node.module else [])]
        for alias in node.names:
            yield alias.asname or alias.name, ".".join([*module, alias.name])


def _files(name: str, root: Path) -> Iterator[Path]:
    """The files under `root` that importing the dotted `name` runs; none for a library."""
    place, package = root, None
    for part in name.split("."):
        here, module = place / part, place / f"{part}.py"
        if (here / "__init__.py").is_file():
            yield here / "__init__.py"
            place = package = here
        elif module.is_file():
            yield module
            return  # what follows is an attribute
        elif here.is_dir():
            place, package = here, None
        elif package and part in (offers := _offers(package, root)):
            yield from _files(offers[part], root)
            return
        elif not (package and part == "*"):
            return
    if package:
        for offered in _offers(package, root).values():
            yield from _files(offered, root)


def _data(package: Path) -> Iterator[Path]:
    for path in package.iterdir():
        if path.is_file() and path.suffix not in {".py", ".pyc"}:
            yield path
        elif path.is_dir() and path.name != "__pycache__" and not any(path.glob("*.py")):
            yield from _data(path)
