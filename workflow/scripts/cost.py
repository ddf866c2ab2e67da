"""FLOPs, bytes, states and expected time of a study, from shapes alone: nothing is run.

python workflow/scripts/cost.py --help
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoConfig

from ttt_memory import options
from ttt_memory.benchmark import read_benchmark
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.conversation.config.base_model import Dtype
from ttt_memory.conversation.config.training import TrainConfig
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.cost import stopwatch
from ttt_memory.cost.data_sheets import DEVICES, SHAPES
from ttt_memory.cost.estimate import Benchmark, Estimate, of_samples, table
from ttt_memory.cost.model import Decoder, FastWeightsCost
from ttt_memory.errors import UserError, run
from ttt_memory.fast_weights import FastWeightsConfig


def decoder(args: argparse.Namespace) -> Decoder:
    """The shape by name or of a model's folder."""
    if args.shape:
        return SHAPES[args.shape]
    path = Path(args.model)
    if not (path / "config.json").is_file():
        raise UserError(f"{path}: no such model folder (expected config.json in it)")
    return Decoder.of(AutoConfig.from_pretrained(path), args.dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--model", help="hub-format folder; its config.json and tokenizer are read")
    model.add_argument("--shape", choices=sorted(SHAPES))
    parser.add_argument("--dtype", default="float32", choices=Dtype.__args__, help="of --model")
    parser.add_argument("--config", default="config/qwen3-8b.yaml", help="JSON or YAML file")
    parser.add_argument("--run", default="write-drop-read", help="run of the configuration")
    parser.add_argument("--benchmark", help="Parquet, with --model; default: 300 samples")
    parser.add_argument("--device", default="a100-40gb", choices=[*DEVICES, "here"])
    parser.add_argument("--tf32", action="store_true", help="the memory's products in TF32")
    args = parser.parse_args()
    where = f"runs.{args.run}"
    if args.run not in options.read(args.config).get("runs", {}):
        raise UserError(f"{args.config}: has no run {args.run!r}")
    config = options.section(args.config, f"{where}.fast_weights", FastWeightsConfig)
    train = options.section(args.config, f"{where}.train", TrainConfig)
    recall = options.section(args.config, "recall", RecallConfig)
    if args.benchmark and not args.model:
        raise UserError("--benchmark: its tokens are counted by a tokenizer; expected --model")
    benchmark = Benchmark().asked(recall)
    if args.benchmark:
        benchmark = of_samples(read_benchmark(args.benchmark), Prompter.load(args.model), recall)
    fast = FastWeightsCost(decoder(args), config)
    if max(config.layers) >= fast.decoder.layers:
        raise UserError(
            f"{where}.fast_weights.layers: found {max(config.layers)}, "
            f"expected less than the model's {fast.decoder.layers} layers"
        )
    if args.device == "here":
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtypes = tuple({"float32", fast.decoder.dtype})
        best, gib = stopwatch.ceilings(device, dtypes), None
    else:
        best, gib = DEVICES[args.device]
        if args.tf32:
            best = replace(best, matmul=best.matmul | {"float32": best.matmul["tf32"]})
    print(f"{args.shape or args.model} on {args.device}; {json.dumps(vars(benchmark))}")
    print(table(Estimate(fast, benchmark, best), train, gib))


if __name__ == "__main__":
    run(main)
