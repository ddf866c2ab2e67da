"""What a benchmark or corpus from files of conversations asks of the rest of the configuration."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...benchmark.config import BenchmarkConfig, ConversationFiles, CorpusConfig
from ...benchmark.importers.layouts import check_layout
from ...benchmark.sample import IMPORTED
from ...errors import UserError
from ...vocabulary import CONDITIONS

# The layouts whose samples bring levels and splits of their own.
OWN_LEVELS = ("published", "parquet")
# The split of their samples; that of our own Parquet stands in the file.
PUBLISHED = "published"


def split_of(source: str) -> str | None:
    """The split of all samples from files of the layout `source`; None if each has its own."""
    return {"parquet": None, "published": PUBLISHED}.get(source, IMPORTED)


def defaults(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the configuration `data` means where it says nothing, because of its benchmark.

    Samples from files have one split, and those of conversations have no distractor, which
    condition D would need.
    """
    benchmark = data.get("benchmark")
    source = benchmark.get("source", "generator") if isinstance(benchmark, Mapping) else "generator"
    split = split_of(source) if isinstance(source, str) else None
    if source == "generator" or split is None:
        return {}
    found: dict[str, Any] = {"recall": {"sweep_split": split}}
    if split == IMPORTED:
        found["recall"]["conditions"] = [name for name in CONDITIONS if name != "D"]
    return found


def splits(benchmark: BenchmarkConfig) -> list[str] | None:
    """The splits that the samples of `benchmark` have, or None if only the file knows."""
    if benchmark.source == "generator":
        return sorted(benchmark.splits)
    split = split_of(benchmark.source)
    return None if split is None else [split]


def levels(benchmark: BenchmarkConfig) -> list[int]:
    """The levels that the samples of `benchmark` have, or may have if only the file knows."""
    if benchmark.source == "generator":
        return list(benchmark.levels)
    return [1, 2, 3] if benchmark.source in OWN_LEVELS else [1]


def problems(benchmark: BenchmarkConfig, corpus: CorpusConfig) -> Iterable[tuple[str, str]]:
    """Files that do not exist or look like another layout: pairs of a key and what is wrong."""
    if benchmark.source != "generator":
        yield from _of_files("benchmark", benchmark)
    if corpus.conversations is not None:
        yield from _of_files("corpus.conversations", corpus.conversations)
        yield from _also_asked(benchmark, corpus.conversations)


def _also_asked(
    benchmark: BenchmarkConfig, trained: ConversationFiles
) -> Iterable[tuple[str, str]]:
    """Files that models would train on and then be asked about."""
    asked = {Path(name).resolve() for name in benchmark.files}
    for place, name in enumerate(trained.files):
        if Path(name).resolve() in asked:
            yield (
                f"corpus.conversations.files.{place}",
                f"found {name!r}, which benchmark.files names too; expected files that no model is"
                " asked about",
            )


def _of_files(key: str, part: ConversationFiles) -> Iterable[tuple[str, str]]:
    for place, name in enumerate(part.files):
        try:
            check_layout(Path(name), part.source)
        except UserError as error:
            yield f"{key}.files.{place}", str(error)
