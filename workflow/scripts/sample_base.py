"""Let the untouched base write texts, on which a training then keeps its predictions.

python workflow/scripts/sample_base.py --help
"""

import argparse

from ttt_memory import io, options
from ttt_memory.conversation import schemas
from ttt_memory.conversation.config.base_model import BaseConfig
from ttt_memory.conversation.models.loading import load_model
from ttt_memory.conversation.models.trained_run import prepare_device
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.train.base_texts import write_texts
from ttt_memory.errors import run
from ttt_memory.study import devices
from ttt_memory.study.provenance import provenance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `base`"
    )
    parser.add_argument("--base", required=True, help="base model, a folder in Hub format")
    parser.add_argument("--out", required=True, help="the texts, Parquet")
    args = parser.parse_args()
    config = options.section(args.config, "base", BaseConfig)
    device = devices.pick("auto")
    prepare_device(device, config)
    prompter = Prompter.load(args.base, config.chat_template)
    model = load_model(args.base, config.dtype, config.attention).to(device).eval()
    rows = list(write_texts(model, prompter, config.texts))
    metadata = provenance(config, seed=config.texts.seed)
    io.write_table(args.out, rows, schemas.BASE_TEXTS, metadata)


if __name__ == "__main__":
    run(main)
