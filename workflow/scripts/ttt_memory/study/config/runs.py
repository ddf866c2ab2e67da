"""The runs of the configuration: training regimes by name."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationInfo

from ... import options
from ...conversation.config.training import MEMORY, RunConfig, memory_of
from ...fast_weights.config import OWN_RULE
from ...options import InputPath
from ...vocabulary import CONDITIONS

# A name becomes a folder and a wildcard.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class RunEntry(RunConfig):
    """A run of the configuration, written out or as changes to another run."""

    like: Name | None = Field(
        None,
        description="Another run whose keys this one starts from; not its label and differs, nor"
        " its `trained` where this one says how it is trained (`train`, `fast_weights`): that"
        " trains anew; `train.start` trains a memory further.",
    )
    trained: InputPath | None = Field(
        None,
        description="Folder of a memory that is trained already, as `train` makes it"
        " (`results/runs/NAME/SEED/model`): its fast weights, and its base or adapter if that was"
        " trained too. With several `seeds`, a folder of such folders, each named by its seed."
        " Then `fast_weights` is that of the folder, and `train` is not used.",
    )
    conditions: tuple[Literal[*CONDITIONS], ...] = Field(
        (),
        description="The conditions that this run is asked under, of `recall.conditions`. Empty:"
        " all of them. A run that is asked under A but not under B has no verdict: other runs are"
        " measured against it.",
    )

    def memory(self, seed: int) -> Path:
        """The folder of the trained memory of `seed`."""
        return memory_of(self.trained, seed)

    def asked_under(self, condition: str) -> bool:
        """Whether the run is asked under a condition of `recall.conditions`."""
        return not self.conditions or condition in self.conditions


def resolved(entries: Any, info: ValidationInfo) -> Any:
    """Runs with `like` written out: the keys of the other run, and their own laid over them.

    The fast weights of a run with `trained` are those of the memory.

    Raises:
        ValueError: names the run, and what is wrong with `like` or with the folder of the memory.
    """
    entries = options.without_nulls(entries)
    if not isinstance(entries, Mapping):
        return entries
    written = {name: _inherited(entries, name, ()) for name in entries}
    root = info.context["root"] if info.context else Path()
    written = {name: _with_memory(name, entry, root) for name, entry in written.items()}
    return {
        name: laid_over({"label": name}, entry) if isinstance(entry, Mapping) else entry
        for name, entry in written.items()
    }


def _inherited(entries: Mapping[str, Any], name: str, seen: tuple[str, ...]) -> Any:
    entry = entries[name]
    if not isinstance(entry, Mapping) or entry.get("like") is None:
        return entry
    other = entry["like"]
    if other not in entries or other in (*seen, name):
        others = sorted(set(entries) - {name, *seen})
        raise ValueError(f"run {name!r}, key like: found {other!r}, expected one of {others}")
    parent = _inherited(entries, other, (*seen, name))
    if not isinstance(parent, Mapping):
        return entry
    # A label describes one run only.
    own = {"label", "differs"}
    if entry.keys() & {"train", "fast_weights"}:
        own.add("trained")
    return laid_over({key: value for key, value in parent.items() if key not in own}, entry)


def _with_memory(name: str, entry: Any, root: Path) -> Any:
    """The entry with the fast weights of its trained memory, if it names one."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("trained"), str):
        return entry
    seeds = entry.get("seeds")
    seeds = seeds if isinstance(seeds, list | tuple) and seeds else [0]
    folder = options.found(entry["trained"], root)
    paths = [memory_of(folder, seed) / MEMORY for seed in seeds]
    paths = [path for path in paths if path == paths[0] or path.is_file()]
    first, *others = [_config_of(path, name, entry["trained"]) for path in paths]
    for path, other in zip(paths[1:], others, strict=True):
        if other | {"update": None} != first | {"update": None}:
            raise ValueError(
                f"run {name!r}, key trained: {path} has other fast weights than {paths[0]};"
                " expected the seeds of one run"
            )
    return {**entry, "fast_weights": first}


def _config_of(path: Path, name: str, given: str) -> dict[str, Any]:
    """The configuration of the fast weights in the file `path`, of the run `name`."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))["config"]
        if config["update"] == OWN_RULE:
            config["update"] = str(path.with_name(OWN_RULE))
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(
            f"run {name!r}, key trained: found {given!r}, expected the folder of a trained memory;"
            f" no readable {path}"
        ) from None
    return config


def laid_over(below: Any, above: Any) -> Any:
    """`above`, and the keys of `below` that it lacks; mappings merge as in Snakemake's presets."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    merged = {key: laid_over(below[key], above[key]) for key in below.keys() & above.keys()}
    return {**below, **above, **merged}
