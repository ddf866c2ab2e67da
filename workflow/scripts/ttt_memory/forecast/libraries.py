"""Libraries that a few baselines need, and the project itself does not: the extra `baselines`."""

import importlib
import importlib.util
import warnings
from types import ModuleType

from ..errors import UserError

EXTRA = ("statsforecast", "neuralforecast")


def missing(package: str) -> str | None:
    """What is wrong if a package is not installed; None if it is."""
    if importlib.util.find_spec(package):
        return None
    advice = "; install it with: pip install '.[baselines]'" if package in EXTRA else ""
    return f"needs the package {package}, which is not installed{advice}"


def load(baseline: str, module: str) -> ModuleType:
    """Import a module of a library, without the warnings that it gives while it is imported.

    Raises:
        UserError: the library is not installed; the error begins with `baseline`.
    """
    if problem := missing(module.partition(".")[0]):
        raise UserError(f"baseline {baseline} {problem}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)
