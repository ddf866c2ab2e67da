"""Download a model from the hub, at the commit that the configuration names.

python workflow/scripts/fetch_model.py --config config/qwen3-8b.yaml --out data/hub/Qwen--Qwen3-8B
"""

import argparse

from ttt_memory import options
from ttt_memory.conversation.config.base_model import BaseConfig
from ttt_memory.errors import UserError, run
from ttt_memory.study.hub import fetch

# Weights in safetensors only: other formats can run code when they are loaded.
KEPT = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


def main() -> None:
    """Parse the command line and fetch the files of the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `base`"
    )
    parser.add_argument("--out", required=True, help="folder for the model")
    args = parser.parse_args()
    config = options.section(args.config, "base", BaseConfig)
    if config.source != "hub":
        raise UserError(
            f"base.source: found {config.source!r}, expected 'hub' for a model to fetch"
        )
    fetch(config.hub_id, config.revision, args.out, KEPT, "base")


if __name__ == "__main__":
    run(main)
