"""Speed of batched recall, compared with one probe at a time on a dense state.

    python benchmarks/recall.py --model results/runs/write-drop-read/0/model \
        --base data/models/embedded --benchmark results/benchmark/benchmark.parquet [--check]

Both ask the same probes of the same model on one thread. The probes per second of both and their
ratio are printed. --check exits with status 1 when an answer differs or the ratio is below 30.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory.benchmark import Sample, read_benchmark
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.conversation.models.trained_run import load_run
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.recall.ask import Recall
from ttt_memory.conversation.recall.naive import answer_naive, write_naive
from ttt_memory.errors import run
from ttt_memory.fast_weights import FastWeights

TARGET = 30.0


def naive(
    fw: FastWeights, prompter: Prompter, samples: list[Sample], limit: int
) -> dict[tuple[str, str], str]:
    """Answers under condition B, one probe after the other. Each dialogue is written once."""
    found = {}
    for sample in samples:
        state = write_naive(fw, prompter.sessions(sample))
        for probe in sample.probes:
            (question,) = prompter.ids([prompter.question(probe.question, sample.language)])
            answer = answer_naive(fw, prompter, question, state, limit)
            found[sample.sample_id, probe.probe_id] = answer.text
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of the trained run")
    parser.add_argument("--base", required=True, help="base model, a folder in Hub format")
    parser.add_argument("--benchmark", required=True, help="benchmark, Parquet")
    parser.add_argument("--samples", type=int, default=100, help="number of level-1 dialogues")
    parser.add_argument("--rows", type=int, default=128, help="number of dialogues in a batch")
    parser.add_argument("--probe-rows", type=int, default=1024, help="number of probes in a batch")
    parser.add_argument(
        "--check", action="store_true", help=f"exit with 1 below a ratio of {TARGET:g}"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    samples = [s for s in read_benchmark(args.benchmark) if s.level == 1][: args.samples]
    fw = load_run(args.model, args.base, torch.device("cpu"))
    prompter = Prompter.load(args.base)
    config = RecallConfig(rows=args.rows, probe_rows=args.probe_rows, device="cpu")
    recall = Recall(fw, prompter, samples, config)

    started = time.perf_counter()
    rows = recall.run("B")
    batched_seconds = time.perf_counter() - started
    batched = {(row["sample_id"], row["probe_id"]): row["prediction"] for row in rows}
    started = time.perf_counter()
    single = naive(fw, prompter, samples, config.max_new_tokens)
    naive_seconds = time.perf_counter() - started

    different = [key for key in single if single[key] != batched[key]]
    ratio = naive_seconds / batched_seconds
    print(f"{'engine':<28}{'probes':>8}{'seconds':>10}{'probes/s':>10}")
    for name, seconds in (("one probe, dense state", naive_seconds), ("batched", batched_seconds)):
        print(f"{name:<28}{len(single):>8}{seconds:>10.2f}{len(single) / seconds:>10.1f}")
    print(f"ratio {ratio:.1f} (target {TARGET:g}), different answers {len(different)} (target 0)")
    if args.check and (ratio < TARGET or different):
        missed = (
            f"ratio {ratio:.1f} < {TARGET:g}" if ratio < TARGET else f"answers: {different[:3]}"
        )
        sys.exit(f"benchmarks/recall.py: target missed: {missed}")


if __name__ == "__main__":
    run(main)
