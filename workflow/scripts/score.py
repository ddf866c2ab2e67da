"""Score predictions against their benchmark.

python workflow/scripts/score.py --benchmark results/benchmark/benchmark.parquet \
    --predictions results/runs/write-drop-read/0/predictions/{A,B}/*.parquet \
    --out results/metrics/write-drop-read

The benchmark and the predictions are Parquet files of this project or JSON files in the published
layout. Write the condition before a JSON file of predictions: A=FILE. The script writes
DIR/scored.parquet (one row per probe) and then DIR/metrics.parquet.
"""

import argparse
from pathlib import Path

from ttt_memory import errors, options
from ttt_memory.scoring.config import ScoringConfig
from ttt_memory.scoring.score_files import score_files
from ttt_memory.study.provenance import provenance


def main() -> None:
    """Parse the command line, score, and print a table of conditions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--benchmark", required=True, type=Path, metavar="FILE")
    parser.add_argument(
        "--predictions", required=True, nargs="+", metavar="[CONDITION=]FILE", help="one or more"
    )
    parser.add_argument("--run", help="name of the run in the tables (default: the files' own)")
    parser.add_argument("--config", help="JSON, or a JSON/YAML file, with key `scoring`")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR")
    args = parser.parse_args()
    config = ScoringConfig()
    if args.config:
        config = options.section(args.config, "scoring", ScoringConfig)
    table = score_files(args.benchmark, args.predictions, args.run, config, args.out, provenance)
    print(table)


if __name__ == "__main__":
    errors.run(main)
