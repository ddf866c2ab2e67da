"""Download a data set from the hub, at the commit that the configuration names.

python workflow/scripts/fetch_corpus.py --config mine.yaml --out data/hub/datasets/my--data
"""

import argparse

from ttt_memory import options
from ttt_memory.benchmark.config import CorpusConfig
from ttt_memory.errors import UserError, run
from ttt_memory.study.hub import fetch


def main() -> None:
    """Parse the command line and fetch the files of the data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `corpus`"
    )
    parser.add_argument("--out", required=True, help="folder for the files")
    args = parser.parse_args()
    config = options.section(args.config, "corpus", CorpusConfig)
    if config.source != "hub":
        raise UserError(
            f"corpus.source: found {config.source!r}, expected 'hub' for a data set to fetch"
        )
    fetch(config.hub_id, config.revision, args.out, config.hub_files, "corpus", "dataset")


if __name__ == "__main__":
    run(main)
