"""The files that a configuration is merged from, and which of them sets a key."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ... import options

Sources = Mapping[str, Mapping[str, Any]]  # the strongest first


def read(sources: Mapping[str, Mapping[str, Any] | None]) -> Sources:
    """Every source as a mapping. None stands for the YAML file of that name.

    Raises:
        UserError: a file cannot be read.
    """
    return {name: options.read(name) if node is None else node for name, node in sources.items()}


def blame(key: Iterable[Any], sources: Sources) -> str:
    """The name of the first source that sets `key`, or else a key nearest above it.

    It is 'default' if no source sets any of these keys.
    """
    key, best, depth = list(key), "default", 0
    for name, node in sources.items():
        reached = _depth(node, key)
        if reached > depth:
            best, depth = name, reached
    return best


def idle_nulls(
    data: Mapping[str, Any], places: Iterable[Sequence[str]], sources: Sources
) -> Iterator[tuple[list[str], str]]:
    """Entries that are dropped with null although no source has them: pairs of key and problem.

    `places` are the keys of the mappings in `data` in which null drops an entry.
    """
    for place in places:
        entries = _at(data, place)
        if not isinstance(entries, Mapping):
            continue
        for name in (name for name, entry in entries.items() if entry is None):
            key = [*place, str(name)]
            if any(_at(node, [*place, name]) is not None for node in sources.values()):
                continue
            near = difflib.get_close_matches(str(name), map(str, entries), n=2, cutoff=0.6)[1:]
            meant = "".join(f"; is {other!r} meant?" for other in near)
            yield key, f"null drops an entry, but no entry has this name{meant}"


def _at(node: Any, key: Iterable[Any]) -> Any:
    """What stands at `key` in `node`, or None."""
    for part in key:
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _depth(node: Any, key: Sequence[Any]) -> int:
    """The number of parts of `key`, from the first, that exist in `node`."""
    for depth, part in enumerate(key):
        if not isinstance(node, Mapping) or part not in node:
            return depth
        node = node[part]
    return len(key)
