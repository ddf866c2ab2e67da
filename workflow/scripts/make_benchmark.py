"""Make the benchmark and its card: generated, or from files of conversations with questions.

python workflow/scripts/make_benchmark.py --config config.yaml \
    --out results/benchmark/benchmark.parquet --card results/benchmark/CARD.md
"""

import argparse
from pathlib import Path

from ttt_memory import io, options
from ttt_memory.benchmark import (
    BenchmarkConfig,
    Sample,
    card,
    generate,
    importers,
    write_benchmark,
)
from ttt_memory.errors import run
from ttt_memory.study.provenance import provenance


def main() -> None:
    """Parse the command line, generate the samples, and write them and their card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `benchmark`"
    )
    parser.add_argument("--out", required=True, type=Path, help="samples, Parquet")
    parser.add_argument(
        "--card", required=True, type=Path, help="description of the samples, Markdown"
    )
    args = parser.parse_args()
    config = options.section(args.config, "benchmark", BenchmarkConfig)
    if config.source == "generator":
        samples, counts = generate.benchmark(config), {}
        text = card.text(config, samples)
    else:
        samples, counts = imported(config)
        text = card.of_files(config, samples, counts)
    write_benchmark(args.out, samples, provenance(config, seed=config.seed, counts=counts))
    io.write_text(args.card, text)
    print(f"{args.out}: {len(samples)} samples, {sum(len(s.probes) for s in samples)} probes")


def imported(config: BenchmarkConfig) -> tuple[list[Sample], dict[str, int]]:
    """The samples of the files of `config`, and what their reader counted."""
    found = importers.read_conversations(**config.reading())
    return found.samples, found.counts


if __name__ == "__main__":
    run(main)
