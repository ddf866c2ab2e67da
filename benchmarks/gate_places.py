"""From which layer can a write gate tell what is told from other text?

    python benchmarks/gate_places.py --base FOLDER --model data/models/smollm2-memory-wider/0 \
        --corpus results/smollm2-lasting/corpus \
        --benchmark results/smollm2/benchmark/benchmark.parquet

For each layer a linear classifier of the MLP's input is fitted to the training corpus, as
`train.fit_gate` does it, and of the last hidden state, from which the gate `top` is computed. Then
it is tried on texts that training never shows: dialogues of the benchmark and held-out distractors.
"""

import argparse
import random
import sys
from pathlib import Path

import torch
from scipy.stats import mannwhitneyu

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory.benchmark import distractors, read_benchmark
from ttt_memory.conversation.models.trained_run import load_run
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.recall.write_dialogues import written_gates
from ttt_memory.conversation.train.corpus_sampler import CorpusSampler
from ttt_memory.conversation.train.gate_fit import (
    TOP,
    Marked,
    directions,
    every_token,
    logistic_regression,
    told_tokens,
    training_texts,
)
from ttt_memory.errors import run
from ttt_memory.fast_weights import FastWeights

DIALOGUES, DISTRACTORS, TOKENS = 40, 12, 700  # of the test; the last: tokens of a distractor
KEPT = 0.9  # share of the told tokens for which the gate must open


def unseen_texts(prompter: Prompter, benchmark: str) -> tuple[list[Marked], list[Marked]]:
    """Dialogues of the benchmark with their told tokens, and held-out distractors."""
    samples = [s for s in read_benchmark(benchmark) if s.level in (1, 2)]
    told = [told_tokens(prompter, s) for s in random.Random(0).sample(samples, DIALOGUES)]
    draws = map(random.Random, range(DISTRACTORS))
    texts = prompter.ids([distractors.text(rng, "en", 2 * TOKENS, "heldout") for rng in draws])
    return told, [every_token(prompter, ids[:TOKENS], "en") for ids in texts]


def written(fw: FastWeights, prompter: Prompter, texts: list[Marked]) -> float:
    """Share of the marked tokens that the memory's own gate writes with a strength above 0.5."""
    found = []
    for ids, chosen in texts:
        gates = written_gates(fw, prompter.opening, ids)
        found.append(fw.strengths(gates).mean(0)[chosen] > 0.5)
    return torch.cat(found).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", required=True, help="base model, a folder in Hub format")
    parser.add_argument("--model", required=True, help="folder of a trained memory")
    parser.add_argument("--corpus", required=True, type=Path, help="folder of a training corpus")
    parser.add_argument("--benchmark", required=True, help="benchmark, Parquet")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 6, 12, 15, 18, 21, 24, 27])
    args = parser.parse_args()
    fw, prompter = load_run(args.model, args.base, torch.device("cpu")), Prompter.load(args.base)
    files = (args.corpus / name for name in ("dialogues.parquet", "passages.parquet"))
    sampler = CorpusSampler.load(*files, prompter, 0, 8)
    layers, unseen = tuple(args.layers), unseen_texts(prompter, args.benchmark)
    told, other, new_told, new_other = (
        directions(fw, prompter, layers, part) for part in (*training_texts(sampler), *unseen)
    )
    print(f"{len(new_told[TOP])} told tokens, {len(new_other[TOP])} of distractors, none seen\n")
    print(
        f"| Input of the gate | AUROC | Distractor tokens written if {KEPT:.0%} of the told are |"
    )
    print("|---|---|---|")
    for layer in [*layers, TOP]:
        weight, bias = logistic_regression(told[layer], other[layer])
        high, low = (part[layer] @ weight + bias for part in (new_told, new_other))
        area = mannwhitneyu(high.numpy(), low.numpy()).statistic / (len(high) * len(low))
        leak = (low > high.quantile(1 - KEPT)).float().mean().item()
        name = "last hidden state (`top`)" if layer == TOP else f"MLP input of layer {layer}"
        print(f"| {name} | {area:.4f} | {leak:.2%} |", flush=True)
    with torch.no_grad():
        share = [f"{written(fw, prompter, part):.1%}" for part in unseen]
    print("\nIts own gate writes {} of the told and {} of the distractor tokens".format(*share))


if __name__ == "__main__":
    run(main)
