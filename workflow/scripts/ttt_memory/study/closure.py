"""The files of this project that a script depends on, found without running it.

The workflow declares them as inputs of the script's rule. So an edit of code reruns the rules that
use this code and no others.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

# Imports under these conditions do not run.
LATE = ("TYPE_CHECKING", "typing.TYPE_CHECKING")


@cache
def closure(script: Path, root: Path | None = None) -> tuple[Path, ...]:
    """`script`, the modules below `root` that it imports directly or not, and their data files.

    - Imports are read from the syntax tree, also those inside functions.
    - A package adds its `__init__.py` and its data files: all files that are not Python, in its
      folder and in subfolders that are not packages.
    - Under `if TYPE_CHECKING` an `__init__.py` imports the names that its package loads late, when
      they are asked for. Such a name counts for a file that imports this name or the package as a
      whole. It does not count for a file that imports another module of the package.

    The result is sorted. `root` is the folder of the script unless it is given.

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
    """A hash (16 hexadecimal digits) of the files' contents and of the texts."""
    digest = hashlib.sha256()
    for part in [*(file.read_bytes() for file in files), *(text.encode() for text in texts)]:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


@cache
def _imports(file: Path, root: Path) -> tuple[str, ...]:
    """The dotted names that `file` imports when it runs; `from a import b` gives `a.b`."""
    found: list[str] = []
    waiting: list[ast.AST] = [ast.parse(file.read_bytes(), filename=str(file))]
    while waiting:
        node = waiting.pop()
        found.extend(name for _, name in _names(node, file, root))
        # Under TYPE_CHECKING nothing runs. Its `else` branch does.
        waiting.extend(node.orelse if _is_late(node) else ast.iter_child_nodes(node))
    return tuple(found)


@cache
def _offers(package: Path, root: Path) -> dict[str, str]:
    """The names that a package loads late, and the dotted name of each."""
    file = package / "__init__.py"
    tree = ast.parse(file.read_bytes(), filename=str(file))
    late = [node for block in ast.walk(tree) if _is_late(block) for node in block.body]
    return dict(pair for node in late for pair in _names(node, file, root))


def _is_late(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in LATE


def _names(node: ast.AST, file: Path, root: Path) -> Iterator[tuple[str, str]]:
    """What `node` imports: pairs of the name in `file` and the dotted name."""
    if isinstance(node, ast.Import):
        yield from ((alias.asname or alias.name, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        package = file.parent.relative_to(root).parts if file.is_relative_to(root) else ()
        base = package[: len(package) - node.level + 1] if node.level else ()
        module = [*base, *([node.module] if node.module else [])]
        for alias in node.names:
            yield alias.asname or alias.name, ".".join([*module, alias.name])


def _files(name: str, root: Path) -> Iterator[Path]:
    """The files under `root` that run when `name` is imported; none for a library."""
    place, package = root, None
    for part in name.split("."):
        here, module = place / part, place / f"{part}.py"
        if (here / "__init__.py").is_file():
            yield here / "__init__.py"
            place = package = here
        elif module.is_file():
            yield module
            return  # the rest of the name is an attribute of this module
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
    """The data files of a package."""
    for path in package.iterdir():
        if path.is_file() and path.suffix not in {".py", ".pyc"}:
            yield path
        elif path.is_dir() and path.name != "__pycache__" and not any(path.glob("*.py")):
            yield from _data(path)
