"""Read a benchmark in the published JSON layout and write it as Parquet in ours.

python workflow/scripts/import_benchmark.py --json benchmark.json --out benchmark.parquet

A Parquet file of ours is taken as well: it is checked and written again.
"""

import argparse
from pathlib import Path

from ttt_memory.benchmark import read_benchmark, read_published, write_benchmark
from ttt_memory.errors import run
from ttt_memory.study.provenance import provenance


def main() -> None:
    """Parse the command line, read and check everything, then write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", required=True, type=Path, metavar="FILE", help="what to import")
    parser.add_argument("--out", required=True, type=Path, help="samples, Parquet")
    args = parser.parse_args()
    read = read_benchmark if args.json.suffix == ".parquet" else read_published
    samples = read(args.json)
    write_benchmark(args.out, samples, provenance({}, source=args.json.name))
    print(f"{args.out}: {len(samples)} samples, {sum(len(s.probes) for s in samples)} probes")


if __name__ == "__main__":
    run(main)
