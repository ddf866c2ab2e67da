"""Write results/provenance.json: commit, configuration, versions, host, seeds, hours of rules.

python workflow/scripts/record.py --config config.yaml --times results/benchmarks \
    --out results/provenance.json
"""

import argparse
from pathlib import Path

from ttt_memory import io, options
from ttt_memory.errors import run
from ttt_memory.study.config.tree import Config
from ttt_memory.study.run_record import record


def main() -> None:
    """Parse the command line, gather the record and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", required=True, help="the whole configuration: JSON, or a JSON/YAML file"
    )
    parser.add_argument(
        "--times",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder of Snakemake's benchmark files",
    )
    parser.add_argument(
        "--origin", nargs="?", type=Path, metavar="FILE", help="note of a converted base model"
    )
    parser.add_argument("--out", required=True, type=Path, help="JSON file to write")
    args = parser.parse_args()
    config = options.validate(Config, options.read(args.config), args.config)
    repository = Path(__file__).parents[2]
    found = record(config.model_dump(mode="json"), args.times, repository, args.origin)
    io.write_json(args.out, found)


if __name__ == "__main__":
    run(main)
