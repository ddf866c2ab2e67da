"""What Snakemake does not check of its command line, or reads otherwise than it is meant."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from .. import options
from ..errors import UserError

# Of these options Snakemake reads the last alone, by each of their names.
ONCE = {"--configfile": ("--configfile", "--configfiles"), "--config": ("--config", "-C")}
# YAML's words for null. Within a value of `--config`, Snakemake reads them as text.
NULLS = ("null", "Null", "NULL", "~")


def require_once(arguments: Sequence[str]) -> None:
    """Check that no option is given again that would replace the first in silence.

    Raises:
        UserError: names the option.
    """
    for option, names in ONCE.items():
        times = len(list(_places(arguments, names)))
        if times > 1:
            raise UserError(
                f"{option}: found it {times} times, expected once with all values behind it:"
                " Snakemake would read the last one alone"
            )


def require_presets(arguments: Sequence[str]) -> None:
    """Check every preset that `--configfile` names.

    Raises:
        UserError: a file cannot be read, or holds no mapping of keys.
    """
    for preset in values(arguments, "--configfile"):
        require_config(Path(preset))


def require_config(path: Path) -> None:
    """Check that a file of the configuration is YAML or JSON, and holds a mapping of keys.

    Raises:
        UserError: names the file, what was found and what was expected.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: found no such file, expected a preset") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: found a file that cannot be read ({error})") from error
    lines = [line.strip() for line in text.splitlines()]
    if all(not line or line.startswith("#") for line in lines):
        raise UserError(f"{path}: found no keys, expected a mapping of keys")
    options.read(path)


def require_report(arguments: Sequence[str], folder: Path, figures: Iterable[str]) -> None:
    """Check that pages and figures are in the folder of the report if `--report` is given.

    Raises:
        UserError: names the first file that is missing, and what to do.
    """
    asked = list(_places(arguments, ("--report",)))
    if not asked or "--report-after-run" in arguments:
        return
    pages = [folder / name for name in ("index.html", "landing.html")]
    for file in [*pages, *(folder / "figures" / f"{name}.svg" for name in figures)]:
        if not file.is_file():
            raise UserError(
                f"{file}: found no such file, expected the report of a finished run: name that"
                " run's presets in --configfile beside --report, or run it first"
            )


def values(arguments: Sequence[str], option: str) -> list[str]:
    """What stands behind an option of `ONCE`."""
    found = []
    for place in _places(arguments, ONCE[option]):
        _, given, value = arguments[place].partition("=")
        behind = takewhile(lambda value: not value.startswith("-"), arguments[place + 1 :])
        found += [value] if given else behind
    return found


def with_nulls(data: Any, given: Any) -> Any:
    """`data` with null wherever `given`, the values of `--config`, has one of YAML's words for it.

    What another source has laid over `given` in `data` stays as it is.
    """
    if isinstance(data, Mapping) and isinstance(given, Mapping):
        return {key: with_nulls(value, given.get(key)) for key, value in data.items()}
    if isinstance(data, list) and data == given:
        return [with_nulls(value, value) for value in data]
    return None if isinstance(data, str) and data == given and data in NULLS else data


def _places(arguments: Sequence[str], names: Sequence[str]) -> Iterator[int]:
    """Where in `arguments` an option stands that has one of these names."""
    for place, argument in enumerate(arguments):
        if argument == "--":
            return
        if argument.partition("=")[0] in names:
            yield place
