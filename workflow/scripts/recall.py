"""Ask one run the benchmark's probes under one condition or sweep.

python workflow/scripts/recall.py --help
"""

import argparse

from transformers.utils import logging

from ttt_memory import io, options
from ttt_memory.benchmark import read_benchmark
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.conversation.config.base_model import BaseConfig
from ttt_memory.conversation.models import lora
from ttt_memory.conversation.models.trained_run import load_run, prepare_device
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.recall.ask import Recall
from ttt_memory.conversation.recall.progress import Progress, digest
from ttt_memory.errors import UserError, run
from ttt_memory.scoring import schemas
from ttt_memory.study import devices
from ttt_memory.study.provenance import provenance


def shard_of(text: str) -> tuple[int, int]:
    """'0/4' as (0, 4)."""
    try:
        index, count = map(int, text.split("/"))
    except ValueError:
        raise UserError(f"--shard: found {text!r}, expected INDEX/COUNT such as 0/4") from None
    if not 0 <= index < count:
        raise UserError(f"--shard: found {text!r}, expected 0 <= INDEX < COUNT")
    return index, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `recall`"
    )
    parser.add_argument("--run", required=True, help="name of the run, for the table")
    parser.add_argument("--seed", required=True, type=int, help="training seed, for the table")
    parser.add_argument("--model", required=True, help="folder of the trained run")
    parser.add_argument("--base", required=True, help="base model, hub-format folder")
    parser.add_argument("--benchmark", required=True, help="benchmark, Parquet")
    parser.add_argument(
        "--condition", required=True, help="a condition or sweep of ttt_memory/vocabulary.py"
    )
    parser.add_argument("--shard", default="0/1", help="INDEX/COUNT")
    parser.add_argument("--checkpoint", help="file of what is asked so far, to go on from")
    parser.add_argument("--out", required=True, help="predictions, Parquet")
    args = parser.parse_args()
    logging.disable_progress_bar()
    config = options.section(args.config, "recall", RecallConfig)
    base = options.section(args.config, "base", BaseConfig)
    device = devices.pick(config.device)
    prepare_device(device, base)
    prompter = Prompter.load(args.base, base.chat_template)
    shard = shard_of(args.shard)
    samples = read_benchmark(args.benchmark)
    fw = load_run(args.model, args.base, device, base.dtype, base.attention)
    lora.merge(fw.model)
    recall = Recall(fw, prompter, samples, config)
    about = digest(args.model, args.benchmark) if args.checkpoint else ""
    progress = Progress(args.checkpoint, about)
    rows = recall.run(args.condition, shard, progress)
    rows = [{"run": args.run, "seed": args.seed, **row} for row in rows]
    io.write_table(args.out, rows, schemas.PREDICTIONS, provenance(config, seed=args.seed))
    progress.end()


if __name__ == "__main__":
    run(main)
