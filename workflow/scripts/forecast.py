"""Train one strategy or baseline on one dataset with one seed, and forecast the test part.

python workflow/scripts/forecast.py --config config.yaml --dataset sinwave --strategy mesa \
    --seed 0 --series results/series/sinwave.parquet --out results/forecast/mesa.parquet

The name after --strategy stands under `forecast.strategies` or `forecast.baselines`.
"""

import argparse
from pathlib import Path

from ttt_memory import io, options
from ttt_memory.errors import run
from ttt_memory.forecast import schemas
from ttt_memory.forecast.experiment import Job
from ttt_memory.forecast.experiment import run as run_job
from ttt_memory.forecast.series import data
from ttt_memory.study.provenance import provenance


def main() -> None:
    """Parse the arguments, run the job, write what it found."""
    args = parse()
    config = options.read(args.config)
    task = Job.of(config, args.dataset, args.strategy, args.seed)
    series = data.read(args.series)
    found = run_job(task, series, args.checkpoints)
    note = provenance(config, seed=args.seed)
    for path, rows, schema in (
        (args.traces, found.traces, schemas.TRACES),
        (args.curve, found.epochs, schemas.EPOCHS),
        (args.out, found.forecasts, schemas.FORECASTS),
    ):
        if path:
            io.write_table(path, rows, schema, note)
    print(f"{task.label}: test MSE {found.test_mse:.5f}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True, help="JSON, or a JSON/YAML file: `forecast`")
    parser.add_argument("--dataset", required=True, help="name under `forecast.datasets`")
    parser.add_argument("--strategy", required=True, help="name of a strategy or baseline")
    parser.add_argument("--seed", required=True, type=int, help="training seed")
    parser.add_argument("--series", required=True, help="the dataset's series, Parquet")
    parser.add_argument("--checkpoints", type=Path, help="folder to resume from")
    parser.add_argument("--curve", help="for a row per epoch, Parquet")
    parser.add_argument("--traces", help="for the memory's surprise and gates, Parquet")
    parser.add_argument("--out", required=True, help="for the forecasts, Parquet")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
