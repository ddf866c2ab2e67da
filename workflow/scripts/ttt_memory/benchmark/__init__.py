"""The benchmark: dialogues whose facts are asked about, made from typed values and skeletons.

samples = generate.benchmark(BenchmarkConfig(samples_per_level=10))
training = corpus.dialogues("en", seed=0, count=1000)
published = read_published("benchmark.json")
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import card, corpus, generate, own_texts
    from .config import BenchmarkConfig, CorpusConfig
    from .files import check_integrity, read_benchmark, write_benchmark
    from .import_published import read_published
    from .sample import Fact, Probe, Sample
    from .validity import validate

__all__ = [
    "BenchmarkConfig",
    "CorpusConfig",
    "Fact",
    "Probe",
    "Sample",
    "card",
    "check_integrity",
    "corpus",
    "generate",
    "own_texts",
    "read_benchmark",
    "read_published",
    "validate",
    "write_benchmark",
]

# Whoever takes one of these names depends on its module alone: a new card trains no model again.
_HOMES = {
    "BenchmarkConfig": "config",
    "CorpusConfig": "config",
    "Fact": "sample",
    "Probe": "sample",
    "Sample": "sample",
    "check_integrity": "files",
    "read_benchmark": "files",
    "read_published": "import_published",
    "validate": "validity",
    "write_benchmark": "files",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f".{_HOMES.get(name, name)}", __name__)
    return getattr(home, name) if name in _HOMES else home
