"""Check a trained run before it is scored; fails, naming the check, when its memory is broken.

python workflow/scripts/sanity.py --help
"""

import argparse
from functools import partial

from ttt_memory import io, options
from ttt_memory.benchmark import read_benchmark
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.conversation.config.base_model import BaseConfig
from ttt_memory.conversation.models.trained_run import load_base, load_run, prepare_device
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.recall.sanity import Sanity
from ttt_memory.errors import UserError, run
from ttt_memory.study import devices


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `recall`"
    )
    parser.add_argument("--model", required=True, help="folder of the trained run")
    parser.add_argument("--base", required=True, help="base model, hub-format folder")
    parser.add_argument("--benchmark", required=True, help="benchmark, Parquet")
    parser.add_argument(
        "--fresh-memory",
        action="store_true",
        help="the training left the fast weights as they were",
    )
    parser.add_argument("--out", required=True, help="results, JSON")
    args = parser.parse_args()
    config = options.section(args.config, "recall", RecallConfig)
    settings = options.section(args.config, "base", BaseConfig)
    device = devices.pick(config.device)
    prepare_device(device, settings)
    prompter = Prompter.load(args.base, settings.chat_template)
    samples = [s for s in read_benchmark(args.benchmark) if s.level == 1][:4]
    if len(samples) < 2:
        raise UserError(f"{args.benchmark}: sanity needs two level-1 samples, found {len(samples)}")
    how = settings.dtype, settings.attention
    fw = load_run(args.model, args.base, device, *how)
    base = partial(load_base, args.model, args.base, *how)
    checks = Sanity(fw, base, prompter, samples, config.segment_tokens, args.fresh_memory)
    results = checks.run()
    for name, result in results.items():
        print(f"{'ok  ' if result['passed'] else 'FAIL'} {name}: {result['detail']}")
    failed = [name for name, result in results.items() if not result["passed"]]
    if failed:
        raise UserError(f"{args.model}: sanity check failed: {', '.join(failed)}")
    io.write_json(args.out, results)


if __name__ == "__main__":
    run(main)
