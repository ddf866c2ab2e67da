"""Read the benchmark of somebody else, check it, and write it as Parquet in our layout.

python workflow/scripts/import_benchmark.py --json benchmark.json --out benchmark.parquet

The ending of the file says which layout it has: the published JSON, or our own Parquet.
"""

import argparse
from pathlib import Path

from ttt_memory.benchmark import read_samples, write_benchmark
from ttt_memory.errors import run
from ttt_memory.study.provenance import provenance


def main() -> None:
    """Parse the command line, read and check all samples, and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--json",
        required=True,
        type=Path,
        metavar="FILE",
        help="benchmark to import, JSON or Parquet",
    )
    parser.add_argument("--out", required=True, type=Path, help="samples, Parquet")
    args = parser.parse_args()
    samples = read_samples(args.json)
    write_benchmark(args.out, samples, provenance({}, source=args.json.name))
    print(f"{args.out}: {len(samples)} samples, {sum(len(s.probes) for s in samples)} probes")


if __name__ == "__main__":
    run(main)
