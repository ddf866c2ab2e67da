"""The benchmark: dialogues with facts, and questions about these facts.

samples = generate.benchmark(BenchmarkConfig(samples_per_level=10))
training = corpus.dialogues("en", seed=0, count=1000)
imported = importers.read_samples("published.json")

- `sample`, `schemas`, `files`: what a sample is, its columns, its Parquet files.
- `generate`, `card`, `validity`: the generated benchmark, its description, the check of a sample.
- `corpus`, `own_texts`: what models train on, generated or from the user's files.
- `json_files`: reading JSON of others.
- `generator/`: how one dialogue is made from values, skeletons and families of facts.
- `distractors/`: unrelated text.
- `importers/`: own and public conversations, and benchmarks of others, one file per layout.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import card, corpus, generate, importers, own_texts
    from .config import BenchmarkConfig, CorpusConfig
    from .files import read_benchmark, write_benchmark
    from .importers import read_samples
    from .sample import Fact, Probe, Sample
    from .validity import validate

__all__ = [
    "BenchmarkConfig",
    "CorpusConfig",
    "Fact",
    "Probe",
    "Sample",
    "card",
    "corpus",
    "generate",
    "importers",
    "own_texts",
    "read_benchmark",
    "read_samples",
    "validate",
    "write_benchmark",
]

# Names are loaded when they are asked for. So code that takes one name depends on its module
# alone: an edit of the card does not train a model again.
_HOMES = {
    "BenchmarkConfig": "config",
    "CorpusConfig": "config",
    "Fact": "sample",
    "Probe": "sample",
    "Sample": "sample",
    "read_benchmark": "files",
    "read_samples": "importers",
    "validate": "validity",
    "write_benchmark": "files",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f".{_HOMES.get(name, name)}", __name__)
    return getattr(home, name) if name in _HOMES else home
