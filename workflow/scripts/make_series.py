"""Make one dataset of series: generate or read it, split it and standardise it.

python workflow/scripts/make_series.py --config config.yaml --dataset sinwave \
    --out results/series/sinwave.parquet
"""

import argparse

from ttt_memory import options
from ttt_memory.errors import UserError, run
from ttt_memory.forecast.config import Datasets, part
from ttt_memory.forecast.series.make import make
from ttt_memory.study.provenance import provenance


def main() -> None:
    """Parse the arguments, make the series and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `forecast.datasets`"
    )
    parser.add_argument("--dataset", required=True, help="name under `forecast.datasets`")
    parser.add_argument("--out", required=True, help="Parquet file to write")
    args = parser.parse_args()
    datasets = part(options.read(args.config), "datasets", Datasets)
    if args.dataset not in datasets:
        known = ", ".join(datasets) or "none"
        raise UserError(f"forecast.datasets.{args.dataset}: missing; the configuration has {known}")
    config = datasets[args.dataset]
    series = make(config)
    # `epochs` concerns training alone and does not change the series.
    made_of = config.model_dump(mode="json", exclude={"epochs"})
    series.write(args.out, provenance({"dataset": made_of}))
    for line in series.usage.lines():
        print(f"{args.dataset}: {line}")


if __name__ == "__main__":
    run(main)
