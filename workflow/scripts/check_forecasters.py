"""Build the strategies and baselines that are files of the user's, and try them on random numbers.

python workflow/scripts/check_forecasters.py --config config.yaml

Snakemake starts this before any job where the configuration names such a file, so that a mistake
in it is found at once. Nothing is trained and nothing is written.
"""

import argparse

from ttt_memory import errors, options
from ttt_memory.forecast.config import ForecastConfig
from ttt_memory.forecast.trial import try_out


def main() -> None:
    """Parse the arguments and try every file of the user's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `forecast`"
    )
    args = parser.parse_args()
    try_out(options.section(args.config, "forecast", ForecastConfig))


if __name__ == "__main__":
    errors.run(main)
