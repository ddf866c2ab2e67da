"""Read the whole configuration, check it, and say in one line what is wrong."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ... import options
from ...errors import UserError
from . import conversation_files, renamed_keys
from .checks import problems
from .files import blame, idle_nulls
from .files import read as read_sources
from .runs import laid_over
from .tree import Config

# The keys under which null drops an entry.
SWITCHES = [("runs",), ("imports",)]
SWITCHES += [("forecast", kind) for kind in ("datasets", "strategies", "baselines")]


def load(
    data: Mapping[str, Any],
    sources: Mapping[str, Mapping[str, Any] | None] | None = None,
    root: Path = Path(),
) -> Config:
    """The merged mapping `data` as a checked `Config`.

    `sources` are what `data` was merged from, the strongest first, by name: a mapping, or None
    for a YAML file of that name. The one that sets a wrong key is named. A file or folder to
    read is looked for in the working directory and then below `root`; where it is found is what
    the configuration then holds.

    Raises:
        UserError: one line with file, key, what was found and what was expected.
    """
    files = read_sources(sources or {})
    for key, problem in renamed_keys.old_runs(data, files.values()):
        raise UserError(f"{blame(key, files)}: {'.'.join(key)}: {problem}")
    for key, problem in idle_nulls(data, SWITCHES, files) if files else ():
        raise UserError(f"{blame(key, files)}: {'.'.join(key)}: {problem}")
    try:
        # Named, so that the default path of a model is looked for like any other.
        named = laid_over(conversation_files.defaults(data), {"base": {}, **data})
        config = Config.model_validate(named, context={"root": root})
    except ValidationError as error:
        if renamed := renamed_keys.explain(error):
            key, problem = renamed
            raise UserError(f"{blame(key, files)}: {'.'.join(key)}: {problem}") from error
        key = options.key_of(options.first_of(error)["loc"], data)
        told = options.describe(error, Config, data=data) + _run_meant(key, data)
        raise UserError(f"{blame(key, files)}: {told}") from error
    for key, problem in problems(config):
        raise UserError(f"{blame(key.split('.'), files)}: {key}: {problem}")
    return config


def _run_meant(key: list[Any], data: Mapping[str, Any]) -> str:
    """If a run lacks what every run needs: the run whose name it may misspell."""
    if key[:1] != ["runs"] or key[-1] != "fast_weights":
        return ""
    others = [str(name) for name in data["runs"] if name != key[1]]
    near = difflib.get_close_matches(str(key[1]), others, n=1, cutoff=0.8)
    return "".join(f"; is run {name!r} meant?" for name in near)
