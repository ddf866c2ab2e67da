"""Measure gates, surprise and the size of the fast weights of one run.

python workflow/scripts/diagnose.py --help
"""

import argparse

from ttt_memory import io, options
from ttt_memory.benchmark import read_benchmark
from ttt_memory.conversation import schemas
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.conversation.config.base_model import BaseConfig
from ttt_memory.conversation.models.trained_run import load_run, prepare_device
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.recall.diagnostics import diagnose, token_gates
from ttt_memory.errors import run
from ttt_memory.study import devices
from ttt_memory.study.provenance import provenance


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
    parser.add_argument("--out", required=True, help="statistics, Parquet")
    parser.add_argument("--gates", help="gates of single tokens, Parquet (default: not written)")
    args = parser.parse_args()
    config = options.section(args.config, "recall", RecallConfig)
    base = options.section(args.config, "base", BaseConfig)
    device = devices.pick(config.device)
    prepare_device(device, base)
    prompter = Prompter.load(args.base, base.chat_template)
    samples = read_benchmark(args.benchmark)
    fw = load_run(args.model, args.base, device, base.dtype, base.attention)
    note, place = provenance(config, seed=args.seed), {"run": args.run, "seed": args.seed}
    if args.gates:
        rows = [place | row for row in token_gates(fw, prompter, samples, config)]
        io.write_table(args.gates, rows, schemas.GATES, note)
    rows = [place | row for row in diagnose(fw, prompter, samples, config)]
    io.write_table(args.out, rows, schemas.DIAGNOSTICS, note)


if __name__ == "__main__":
    run(main)
