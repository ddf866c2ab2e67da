"""Checks of the forecast study's configuration that need its files or several of its keys.

Files are parsed, never run.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from .config import ForecastConfig
from .series.config import TableDataset
from .strategy import BASELINES, REQUIRED, STRATEGIES, path_of


def problems(config: ForecastConfig) -> Iterator[tuple[str, str]]:
    """Pairs of a key below `forecast` and what is wrong with it."""
    yield from _entry_problems(config)
    yield from _dataset_problems(config)
    if not config.datasets:
        return
    for key in ("without_memory", "compared_with"):
        name = getattr(config.comparison, key)
        if config.strategies and name not in config.strategies:
            known = sorted(config.strategies)
            yield f"comparison.{key}", f"found {name!r}, expected one of the strategies {known}"


def _entry_problems(config: ForecastConfig) -> Iterator[tuple[str, str]]:
    datasets = config.datasets.items()
    hidden = [name for name, data in datasets if not getattr(data, "observe_target", True)]
    kinds = (("strategies", STRATEGIES, list(REQUIRED)), ("baselines", BASELINES, ["build"]))
    for kind, folder, functions in kinds:
        for name, entry in getattr(config, kind).items():
            path = path_of(entry, folder)
            if path.is_file():
                found = _file_problem(path, functions, hidden)
                found = found and f"{entry.file!r} {found}"
            else:
                known = ", ".join(sorted(file.stem for file in folder.glob("*.py")))
                found = f"found {entry.file!r}, expected an existing .py file or one of {known}"
            if found:
                yield f"{kind}.{name}", found


def _file_problem(path: Path, functions: list[str], hidden: list[str]) -> str | None:
    """What is wrong with a strategy or baseline file; None if nothing is.

    Args:
        path: an existing file.
        functions: names that the file must define.
        hidden: names of the datasets that do not show the target's past.
    """
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        return f"is not valid Python ({error})"
    names = _names(tree)
    missing = [] if "*" in names else [name for name in functions if name not in names]
    if missing:
        wanted = ", ".join(functions)
        return f"has no function {missing[0]}, expected a file that defines {wanted}"
    if hidden and _needs_target(tree):
        return (
            f"forecasts from the target's past, which dataset {hidden[0]!r} hides"
            " (observe_target: false); expected null"
        )
    return None


def _names(tree: ast.Module) -> set[str]:
    """Every name that a file defines, assigns or imports, at any depth."""
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
    """Whether a file sets `NEEDS_TARGET = True` at its top level."""
    return any(
        isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == "NEEDS_TARGET" for t in node.targets)
        and getattr(node.value, "value", False) is True
        for node in tree.body
    )


def _dataset_problems(config: ForecastConfig) -> Iterator[tuple[str, str]]:
    for name, dataset in config.datasets.items():
        for key in ("path",) if isinstance(dataset, TableDataset) else ("train", "valid", "test"):
            path = getattr(dataset, key, None)
            if path and not path.startswith("package:") and not Path(path).is_file():
                yield f"datasets.{name}.{key}", f"found {path!r}, expected an existing file"
