"""Compare all forecasts: means with intervals over seeds, memory gains, paired tests.

python workflow/scripts/leaderboard.py --config config.yaml --out leaderboard.parquet \
    --rivals rivals.parquet \
    --forecasts results/forecast/*/*/*/forecasts.parquet \
    --curves results/forecast/*/*/*/curve.parquet
"""

import argparse
from pathlib import Path

from ttt_memory import io, options
from ttt_memory.errors import run
from ttt_memory.forecast.comparison.leaderboard import leaderboard, rivals_table, table
from ttt_memory.forecast.comparison.paired import against_rivals
from ttt_memory.forecast.comparison.results import concatenated, read_forecasts
from ttt_memory.forecast.config import ComparisonConfig, part
from ttt_memory.forecast.schemas import EPOCHS, LEADERBOARD, RIVALS
from ttt_memory.study.provenance import provenance


def main() -> None:
    """Parse the arguments, compare the forecasts, write the table and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `forecast.comparison`"
    )
    parser.add_argument(
        "--forecasts", required=True, nargs="+", type=Path, help="forecasts of forecast.py"
    )
    parser.add_argument("--curves", required=True, nargs="+", type=Path, help="their curves")
    parser.add_argument("--out", required=True, type=Path, help="Parquet file to write")
    parser.add_argument(
        "--rivals", type=Path, help="Parquet file to write: strategies against the rivals"
    )
    args = parser.parse_args()
    config = part(options.read(args.config), "comparison", ComparisonConfig)
    forecasts, note = read_forecasts(args.forecasts), provenance(config)
    found = leaderboard(forecasts, concatenated(args.curves, EPOCHS), config)
    rivals = against_rivals(forecasts, config)
    io.write_table(args.out, found, LEADERBOARD, note)
    if args.rivals:
        io.write_table(args.rivals, rivals, RIVALS, note)
    for dataset in found["dataset"].unique():
        print(f"\n{dataset}\n{table(found, dataset).to_string(index=False)}")
        print(f"\n{rivals_table(rivals, dataset).to_string(index=False)}")


if __name__ == "__main__":
    run(main)
