"""Generate the benchmark and its card.

python workflow/scripts/make_benchmark.py --config config.yaml \
    --out results/benchmark/benchmark.parquet --card results/benchmark/CARD.md
"""

import argparse
from pathlib import Path

from ttt_memory import io, options
from ttt_memory.benchmark import BenchmarkConfig, card, generate, write_benchmark
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
    samples = generate.benchmark(config)
    write_benchmark(args.out, samples, provenance(config, seed=config.seed))
    io.write_text(args.card, card.text(config, samples))
    print(f"{args.out}: {len(samples)} samples, {sum(len(s.probes) for s in samples)} probes")


if __name__ == "__main__":
    run(main)
