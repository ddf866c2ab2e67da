"""The benchmark: dialogues whose facts are asked about, made from typed values and skeletons.

samples = generate.benchmark(BenchmarkConfig(samples_per_level=10))
training = corpus.dialogues("en", seed=0, count=1000)
published = read_published("benchmark.json")
"""

from . import card, corpus, generate, texts
from .config import BenchmarkConfig, CorpusConfig
from .files import check_integrity, read_benchmark, write_benchmark
from .published import read_published
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
    "read_benchmark",
    "read_published",
    "texts",
    "validate",
    "write_benchmark",
]
