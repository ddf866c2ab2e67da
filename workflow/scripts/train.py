"""Train one run of the conversation study: its fast weights, and by its regime the base.

python workflow/scripts/train.py --help
"""

import argparse

from ttt_memory import io, options
from ttt_memory.conversation import schemas
from ttt_memory.conversation.config.base_model import BaseConfig
from ttt_memory.conversation.config.training import RunConfig
from ttt_memory.conversation.models.trained_run import prepare_device, save_run, to_train
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.train.corpus_sampler import CorpusSampler
from ttt_memory.conversation.train.train_run import build_accelerator, train
from ttt_memory.errors import UserError, run
from ttt_memory.study import devices
from ttt_memory.study.provenance import provenance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `runs`"
    )
    parser.add_argument("--run", required=True, help="name of the run under `runs`")
    parser.add_argument("--seed", required=True, type=int, help="training seed")
    parser.add_argument("--base", required=True, help="base model, a folder in Hub format")
    parser.add_argument("--corpus", required=True, help="training dialogues, Parquet")
    parser.add_argument("--passages", required=True, help="distractor passages, Parquet")
    parser.add_argument("--base-texts", help="texts of the untouched base, Parquet, to keep")
    parser.add_argument("--checkpoints", help="folder of the checkpoints")
    parser.add_argument("--out", required=True, help="folder for the trained run")
    parser.add_argument("--curve", required=True, help="training curve, Parquet")
    args = parser.parse_args()
    config = options.section(args.config, f"runs.{args.run}", RunConfig)
    base = options.section(args.config, "base", BaseConfig)
    # This makes the device the current one, which Accelerate uses.
    prepare_device(devices.pick("auto"), base, config.train.mixed_precision)
    prompter = Prompter.load(args.base, base.chat_template)
    fw, trained = to_train(config, args.seed, args.base, base.dtype, base.attention)
    if config.train.keep_weight and not args.base_texts:
        raise UserError("train.keep_weight: expected --base-texts, which sample_base.py makes")
    most = config.train.probes_per_dialogue
    sampler = CorpusSampler.load(
        args.corpus, args.passages, prompter, args.seed, most, args.base_texts
    )
    accelerator = build_accelerator(config.train.mixed_precision)
    label = f"{args.run} seed {args.seed}"
    rows = train(fw, sampler, config, accelerator, args.checkpoints, label)
    if not accelerator.is_main_process:
        return
    save_run(fw, args.out, trained, prompter.tokenizer)
    rows = [{"run": args.run, "seed": args.seed, **row} for row in rows]
    io.write_table(args.curve, rows, schemas.CURVE, provenance(config, seed=args.seed))


if __name__ == "__main__":
    run(main)
