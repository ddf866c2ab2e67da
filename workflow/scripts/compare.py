"""Compare runs on the same probes: paired differences, and efficiency against other runs.

python workflow/scripts/compare.py --config '{"scoring": {}}' --baseline write-drop-read \
    --scored results/metrics/*/scored.parquet --out results/comparisons.parquet
"""

import argparse
from pathlib import Path

import pandas as pd

from ttt_memory import errors, io, options
from ttt_memory.scoring import schemas
from ttt_memory.scoring.comparisons import comparisons
from ttt_memory.scoring.config import ScoringConfig
from ttt_memory.study.provenance import provenance


def main() -> None:
    """Parse the command line, compare, and print the number of comparisons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `scoring`"
    )
    parser.add_argument("--baseline", required=True, help="run that the others are compared with")
    parser.add_argument("--scored", required=True, nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE")
    args = parser.parse_args()
    config = options.section(args.config, "scoring", ScoringConfig)
    scored = pd.concat([io.read_table(path, schemas.SCORED) for path in args.scored])
    table = comparisons(scored, args.baseline, config)
    io.write_table(args.out, table, schemas.COMPARISONS, provenance(config))
    print(f"{len(table)} comparisons")


if __name__ == "__main__":
    errors.run(main)
