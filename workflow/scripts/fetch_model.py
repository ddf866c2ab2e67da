"""Download a hub model at a pinned revision, safetensors only, into a local folder.

python workflow/scripts/fetch_model.py --config config/qwen3-8b.yaml --out data/hub/Qwen--Qwen3-8B
"""

import argparse
import re

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from requests.exceptions import RequestException

from ttt_memory import io, options
from ttt_memory.conversation.config import BaseConfig
from ttt_memory.errors import UserError, run

KEPT = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


def main() -> None:
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
    if not re.fullmatch(r"[0-9a-f]{40}", config.revision):
        raise UserError(
            f"base.revision: found {config.revision!r}, expected a 40-digit commit hash"
        )
    try:
        with io.beside(args.out) as folder:
            snapshot_download(
                config.hub_id, revision=config.revision, local_dir=folder, allow_patterns=KEPT
            )
    except (HfHubHTTPError, LocalEntryNotFoundError, RequestException, OSError) as error:
        raise UserError(f"base.hub_id {config.hub_id}: cannot be fetched ({error})") from error


if __name__ == "__main__":
    run(main)
