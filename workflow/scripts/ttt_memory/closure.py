"""Which first-party files a script depends on, found without running it.

The workflow declares them as inputs of the rule, so that an edit reruns exactly the rules
whose code it touches.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path


@cache
def closure(script: Path, root: Path | None = None) -> tuple[Path, ...]:
    """`script`, every module below `root` that it imports, however deep, and their data files.

    Imports are read from the syntax tree, those inside functions included. A package brings
    its `__init__.py` and the files that are not Python in its folder and in subfolders that
    are not packages themselves. Sorted. `root` is the script's folder unless given.

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


def _imports(file: Path, root: Path) -> Iterator[str]:
    """Dotted names that `file` imports; of `from a import b` both `a` and `a.b`."""
    package = file.parent.relative_to(root).parts if file.is_relative_to(root) else ()
    for node in ast.walk(ast.parse(file.read_bytes(), filename=str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module:
                yield module
            prefix = f"{module}." if module else ""
            yield from (prefix + alias.name for alias in node.names)


def _files(name: str, root: Path) -> Iterator[Path]:
    """The files under `root` that importing the dotted `name` runs; none for a library."""
    folder = root
    *packages, last = name.split(".")
    for package in packages:
        folder = folder / package
        if (folder / "__init__.py").is_file():
            yield folder / "__init__.py"
    for file in (folder / f"{last}.py", folder / last / "__init__.py"):
        if file.is_file():
            yield file


def _data(package: Path) -> Iterator[Path]:
    for path in package.iterdir():
        if path.is_file() and path.suffix not in {".py", ".pyc"}:
            yield path
        elif path.is_dir() and path.name != "__pycache__" and not any(path.glob("*.py")):
            yield from _data(path)
