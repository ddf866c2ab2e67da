"""Train one strategy or baseline on one dataset, and forecast the test part.

python workflow/scripts/forecast.py --config config.yaml --dataset sinwave --strategy mesa \
    --seed 0 1 --series results/series/sinwave.parquet --out mesa-0.parquet mesa-1.parquet

The name after --strategy stands under `forecast.strategies` or `forecast.baselines`. Several seeds
are trained as one, which takes less time than one after another; each has files of its own, named
in the order of the seeds.
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
    for seed, found in experiment.run(wanted, dataset.read(args.series), args.checkpoints):
        place, note = args.seed.index(seed), provenance(config, seed=seed)
        for paths, rows, schema in (
            (args.traces, found.traces, schemas.TRACES),
            (args.curve, found.epochs, schemas.EPOCHS),
            (args.out, found.forecasts, schemas.FORECASTS),
        ):
            if paths:
                io.write_table(paths[place], rows, schema, note)
        several = len(wanted.data.horizons) > 1
        of = f", mean over horizons {list(wanted.data.horizons)}" if several else ""
        print(f"{wanted.label_of(seed)}: test MSE {found.test_mse:.5f}{of}")


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
    parser.add_argument("--seed", required=True, type=int, nargs="+", help="training seeds")
    parser.add_argument("--series", required=True, help="Parquet file of make_series.py to read")
    parser.add_argument(
        "--checkpoints", type=Path, help="folder to save to and to resume from, seed by seed"
    )
    files = "Parquet files to write, one for each seed"
    parser.add_argument("--curve", nargs="+", help=f"{files}: one row per epoch")
    parser.add_argument("--traces", nargs="+", help=f"{files}: the memory's recall error and gates")
    parser.add_argument("--out", required=True, nargs="+", help=f"{files}: the forecasts")
    args = parser.parse_args()
    if len(set(args.seed)) < len(args.seed):
        parser.error(f"--seed: found {args.seed}, expected distinct seeds")
    for name in ("curve", "traces", "out"):
        paths = getattr(args, name)
        if paths and len(paths) != len(args.seed):
            parser.error(
                f"--{name}: found {len(paths)} files, expected {len(args.seed)}, one a seed"
            )
    return args


if __name__ == "__main__":
    errors.run(main)
