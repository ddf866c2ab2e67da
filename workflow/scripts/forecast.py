"""Train one strategy or baseline on one dataset with one seed, and forecast the test part.

python workflow/scripts/forecast.py --config config.yaml --dataset sinwave --strategy mesa \
    --seed 0 --series results/series/sinwave.parquet --out results/forecast/mesa.parquet

The name after --strategy stands under `forecast.strategies` or `forecast.baselines`.
"""

import argparse
from pathlib import Path

from ttt_memory import errors, io, options
from ttt_memory.forecast import experiment, schemas
from ttt_memory.forecast.config import Device, part
from ttt_memory.forecast.series import dataset
from ttt_memory.study import devices
from ttt_memory.study.provenance import provenance


def main() -> None:
    """Parse the arguments, train, forecast, write the files that were asked for."""
    args = parse()
    config = options.read(args.config)
    device = devices.pick(part(config, "device", Device, "cpu"), "forecast.device")
    wanted = experiment.Experiment.of(config, args.dataset, args.strategy, args.seed, device)
    found = experiment.run(wanted, dataset.read(args.series), args.checkpoints)
    note = provenance(config, seed=args.seed)
    for path, rows, schema in (
        (args.traces, found.traces, schemas.TRACES),
        (args.curve, found.epochs, schemas.EPOCHS),
        (args.out, found.forecasts, schemas.FORECASTS),
    ):
        if path:
            io.write_table(path, rows, schema, note)
    print(f"{wanted.label}: test MSE {found.test_mse:.5f}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `forecast`"
    )
    parser.add_argument("--dataset", required=True, help="name under `forecast.datasets`")
    parser.add_argument("--strategy", required=True, help="name of a strategy or baseline")
    parser.add_argument("--seed", required=True, type=int, help="training seed")
    parser.add_argument("--series", required=True, help="Parquet file of make_series.py to read")
    parser.add_argument("--checkpoints", type=Path, help="folder to save to and to resume from")
    parser.add_argument("--curve", help="Parquet file to write, one row per epoch")
    parser.add_argument(
        "--traces", help="Parquet file to write, with the memory's recall error and gates"
    )
    parser.add_argument("--out", required=True, help="Parquet file to write, with the forecasts")
    return parser.parse_args()


if __name__ == "__main__":
    errors.run(main)
