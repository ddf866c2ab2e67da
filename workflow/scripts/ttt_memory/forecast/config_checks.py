"""Checks of the forecast study's configuration that need its files or several of its keys.

Files are parsed, never run.
"""

import ast
import importlib.util
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from . import libraries
from .config import EntryConfig, ForecastConfig
from .series.config import Dataset, TableDataset
from .strategy import BASELINES, HOOKS, REQUIRED, STRATEGIES, options_of, path_of
from .strategy_file import published_style

ROWS = 200  # of each table are looked at


def problems(config: ForecastConfig) -> Iterator[tuple[str, str]]:
    """Pairs of a key below `forecast` and what is wrong with it."""
    yield from _entry_problems(config)
    for name, dataset in config.datasets.items():
        yield from _dataset_problems(f"datasets.{name}", dataset)
    yield from _sample_problems(config)
    if not config.datasets:
        return
    for key in ("without_memory", "compared_with"):
        name = getattr(config.comparison, key)
        if config.strategies and name not in config.strategies:
            known = sorted(config.strategies)
            yield f"comparison.{key}", f"found {name!r}, expected one of the strategies {known}"
    yield from _comparison_problems(config)


def _comparison_problems(config: ForecastConfig) -> Iterator[tuple[str, str]]:
    """Names that the configuration asks for itself; those of the defaults may be missing."""
    known = [*config.strategies, *config.baselines]
    for key in ("rivals", "floor_of_window", "floor_of_past"):
        if key not in config.comparison.model_fields_set:
            continue
        asked = getattr(config.comparison, key)
        for name in [asked] if isinstance(asked, str) else asked:
            if name not in known:
                yield f"comparison.{key}", f"found {name!r}, expected one of {sorted(known)}"


def _entry_problems(config: ForecastConfig) -> Iterator[tuple[str, str]]:
    kinds = (("strategies", STRATEGIES, list(REQUIRED)), ("baselines", BASELINES, ["build"]))
    for kind, folder, functions in kinds:
        for name, entry in getattr(config, kind).items():
            path = path_of(entry, folder)
            if path.is_file():
                found = _file_problem(path, entry, functions, _shown_to(config, name))
            else:
                known = ", ".join(sorted(file.stem for file in folder.glob("*.py")))
                found = f"found {entry.file!r}, expected an existing .py file or one of {known}"
            if found:
                yield f"{kind}.{name}", found


def _shown_to(config: ForecastConfig, name: str) -> dict[str, Dataset]:
    """The datasets that a strategy or baseline is run on."""
    return {key: data for key, data in config.datasets.items() if name in config.of_dataset(key)}


def _file_problem(
    path: Path, entry: EntryConfig, functions: list[str], datasets: dict[str, Dataset]
) -> str | None:
    """What is wrong with a strategy or baseline file; None if nothing is.

    Args:
        path: an existing file.
        entry: what names it.
        functions: names that the file must define.
        datasets: those that it is run on.
    """
    file = repr(entry.file)
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        return f"{file} is not valid Python ({error})"
    published = "compute_surprise" in functions and published_style(tree, {**REQUIRED, **HOOKS})
    if published:
        return f"{file} {published}"
    names = _names(tree)
    missing = [] if "*" in names else [name for name in functions if name not in names]
    if missing:
        wanted = ", ".join(functions)
        return f"{file} has no function {missing[0]}, expected a file that defines {wanted}"
    package = _value(tree, "NEEDS_PACKAGE")
    # Without torch, jobs have an environment of their own, and its packages are not seen from here.
    if package and importlib.util.find_spec("torch") and (absent := libraries.missing(package)):
        return f"{file} {absent}"
    hidden = [name for name, data in datasets.items() if not getattr(data, "observe_target", True)]
    unknown = [name for name, data in datasets.items() if data.source not in ("sine", "switch")]
    if unknown and _value(tree, "NEEDS_RECIPE"):
        return (
            f"{file} knows how a dataset is generated, and {unknown[0]!r} is not; expected"
            " datasets: [...] with those of source sine or switch"
        )
    far = [name for name, data in datasets.items() if data.horizons != (1,)]
    if far and _value(tree, "NEEDS_HORIZON_1"):
        return (
            f"{file} forecasts one sample ahead, and dataset {far[0]!r} asks for horizons"
            f" {list(datasets[far[0]].horizons)}; expected datasets: [...] with those of horizon 1"
            " alone"
        )
    if hidden and _value(tree, "NEEDS_TARGET"):
        return (
            f"{file} forecasts from the target's past, which dataset {hidden[0]!r} hides"
            " (observe_target: false); expected null"
        )
    try:
        options_of(file, _options(tree, entry), entry)
    except UserError as error:
        return str(error)
    return None


def _options(tree: ast.Module, entry: EntryConfig) -> Mapping[str, Any]:
    """The OPTIONS that a file sets; those that are asked for where it computes them."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["OPTIONS"]:
            try:
                return ast.literal_eval(node.value)
            except ValueError:
                return entry.options
    return {}


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


def _value(tree: ast.Module, name: str) -> Any:
    """The constant that a file sets `name` to at its top level; None if it sets none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == [name]:
            return getattr(node.value, "value", None)
    return None


def _dataset_problems(key: str, dataset: Dataset) -> Iterator[tuple[str, str]]:
    table = isinstance(dataset, TableDataset)
    missing = False
    for name in ("path",) if table else ("train", "valid", "test"):
        path = getattr(dataset, name, None)
        if path and not path.startswith("package:") and not Path(path).is_file():
            missing = True
            yield f"{key}.{name}", f"found {path!r}, expected an existing file"
    # Where jobs have an environment of their own, tables may be read there alone.
    if table and not missing and importlib.util.find_spec("pandas"):
        # Not above: a study without tables needs no pandas.
        from .series import first_rows

        try:
            first_rows.look(dataset, ROWS)
        except UserError as error:
            yield key, str(error)


def _sample_problems(config: ForecastConfig) -> Iterator[tuple[str, str]]:
    """Datasets that differ in window or horizons must be scored on the same samples."""
    same = {"context_window", "horizons", "scored_from", "epochs"}
    for (first, one), (second, other) in itertools.combinations(config.datasets.items(), 2):
        if one.model_dump(exclude=same) != other.model_dump(exclude=same):
            continue
        if one.first_scored != other.first_scored:
            most = max(one.first_forecast, other.first_forecast)
            yield (
                f"datasets.{second}.scored_from",
                f"{second!r} is scored from sample {other.first_scored} and {first!r}, the same"
                f" series with another context_window or other horizons, from {one.first_scored};"
                f" expected one number for both, such as scored_from: {most}",
            )
