"""Configuration keys, values and runs that have a new name, and the message that says so.

An old name is refused, never translated: there is one way to say a thing in the configuration.
The table is read only when the configuration is refused, or refers to a run that is not defined.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

# Old key: new key. A star stands for the name of a run.
KEYS = {
    "runs.*.train.reading": "runs.*.train.episode",
    "base.pretrain.reading": "base.pretrain.episode",
    "forecast.comparison.reference": "forecast.comparison.compared_with",
}
# Key: {old value: new value}.
VALUES = {"runs.*.train.objective": {"recall": "write_drop_read"}}
# Old name of a run: new name.
RUNS = {
    "recall": "write-drop-read",
    "recall-long": "write-drop-read-long",
    "recall-lora": "write-drop-read-lora",
}


def explain(error: ValidationError) -> tuple[list[str], str] | None:
    """The first old name among the mistakes in `error`: its key, and what it is now called.

    A preset that changes a run under its old name leaves that run without the keys that every
    run needs. So a missing key of such a run counts as an old name too. None if there is none.
    """
    for mistake in error.errors(include_url=False):
        kind, key = mistake["type"], [str(part) for part in mistake["loc"]]
        if kind == "missing" and key[0] == "runs" and key[1:2] and key[1] in RUNS:
            return key[:2], _run_is_now(key[1])
        if kind == "extra_forbidden":
            for old, new in KEYS.items():
                if (stars := _stars(old, key)) is not None:
                    return key, f"is now called {new.replace('*', '{}').format(*stars)}"
        for pattern, values in VALUES.items():
            found = mistake["input"]
            if isinstance(found, str) and found in values and _stars(pattern, key) is not None:
                return key, f"{found!r} is now called {values[found]!r}"
    return None


def old_runs(
    data: Mapping[str, Any], sources: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[list[str], str]]:
    """The places in `data` that refer to a run by its old name, if no run of that name exists.

    `sources` are the mappings that `data` was merged from. Without them it is not known which
    runs a null drops, so none is reported.

    Yields:
        The key of the place, and what the run is now called.
    """
    merged = _runs(data)
    below = [_runs(source) for source in sources]
    report = data.get("report")
    for old in RUNS:
        if any(isinstance(runs.get(old), Mapping) for runs in [merged, *below]):
            continue
        if old in merged and below:
            yield ["runs", old], _run_is_now(old)
        for name, entry in merged.items():
            if isinstance(entry, Mapping) and entry.get("like") == old:
                yield ["runs", str(name), "like"], _run_is_now(old)
        if isinstance(report, Mapping) and report.get("baseline") == old:
            yield ["report", "baseline"], _run_is_now(old)


def _run_is_now(old: str) -> str:
    return f"run {old!r} is now called {RUNS[old]!r}"


def _runs(source: Mapping[str, Any]) -> Mapping[str, Any]:
    runs = source.get("runs")
    return runs if isinstance(runs, Mapping) else {}


def _stars(pattern: str, key: list[str]) -> list[str] | None:
    """What the stars of a dotted pattern stand for in `key`; None if the pattern does not fit."""
    parts = pattern.split(".")
    if len(parts) != len(key):
        return None
    pairs = list(zip(parts, key, strict=True))
    if any(part not in ("*", found) for part, found in pairs):
        return None
    return [found for part, found in pairs if part == "*"]
