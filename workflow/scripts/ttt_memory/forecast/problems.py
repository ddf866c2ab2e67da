"""Mistakes in the forecast study's configuration that only the file system shows."""

import ast
from collections.abc import Iterator
from pathlib import Path

from .config import ForecastConfig, TableDataset
from .strategy import BASELINES, REQUIRED, STRATEGIES, path_of


def problems(config: ForecastConfig, root: Path) -> Iterator[tuple[str, str]]:
    """Pairs of a key below `forecast` and what is wrong with it; paths start at `root`."""
    yield from _entry_problems(config, root)
    yield from _dataset_problems(config, root)
    if not config.datasets:
        return
    for key in ("without_memory", "reference"):
        name = getattr(config.comparison, key)
        if config.strategies and name not in config.strategies:
            known = sorted(config.strategies)
            yield f"comparison.{key}", f"found {name!r}, expected one of the strategies {known}"


def _entry_problems(config: ForecastConfig, root: Path) -> Iterator[tuple[str, str]]:
    kinds = (("strategies", STRATEGIES, list(REQUIRED)), ("baselines", BASELINES, ["build"]))
    for kind, folder, functions in kinds:
        for name, entry in getattr(config, kind).items():
            path = root / path_of(entry, folder)
            if not path.is_file():
                known = ", ".join(sorted(file.stem for file in folder.glob("*.py")))
                yield (
                    f"{kind}.{name}",
                    f"found {entry.file!r}, expected an existing .py file or one of {known}",
                )
                continue
            try:
                tree = ast.parse(path.read_bytes(), filename=str(path))
            except (SyntaxError, ValueError) as error:
                yield f"{kind}.{name}", f"{entry.file!r} is not valid Python ({error})"
                continue
            names = _names(tree)
            missing = [] if "*" in names else [f for f in functions if f not in names]
            if missing:
                yield (
                    f"{kind}.{name}",
                    f"{entry.file!r} has no function {missing[0]},"
                    f" expected a file that defines {', '.join(functions)}",
                )
                continue
            blind = [
                n for n, d in config.datasets.items() if not getattr(d, "observe_target", True)
            ]
            if blind and _needs_target(tree):
                yield (
                    f"{kind}.{name}",
                    f"{entry.file!r} forecasts from the target's past, which dataset {blind[0]!r}"
                    " does not show (observe_target: false); expected null",
                )


def _names(tree: ast.Module) -> set[str]:
    """What a file may define: every name that it defines, assigns or imports anywhere."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
    return found


def _needs_target(tree: ast.Module) -> bool:
    """Whether a file says `NEEDS_TARGET = True`."""
    return any(
        isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == "NEEDS_TARGET" for t in node.targets)
        and getattr(node.value, "value", False) is True
        for node in tree.body
    )


def _dataset_problems(config: ForecastConfig, root: Path) -> Iterator[tuple[str, str]]:
    for name, dataset in config.datasets.items():
        for key in ("path",) if isinstance(dataset, TableDataset) else ("train", "valid", "test"):
            path = getattr(dataset, key, None)
            if path and not path.startswith("package:") and not (root / path).is_file():
                yield f"datasets.{name}.{key}", f"found {path!r}, expected an existing file"
