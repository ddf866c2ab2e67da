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
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory.benchmark import distractors, read_benchmark
from ttt_memory.conversation.models.trained_run import load_run
from ttt_memory.conversation.prompts.fact_places import fact_tokens
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.train.corpus_sampler import CorpusSampler
from ttt_memory.conversation.train.gate_fit import (
    TOP,
    Marked,
    directions,
    logistic_regression,
    marked_dialogues,
    marked_distractors,
)
from ttt_memory.errors import run
from ttt_memory.fast_weights import FastWeights

DIALOGUES, DISTRACTORS, TOKENS = 40, 12, 700  # of the test; the last: tokens of a distractor
KEPT = 0.9  # share of the told tokens for which the gate must open


def seen_by(
    fw: FastWeights, prompter: Prompter, layers: tuple[int, ...], texts: list[Marked]
) -> dict[int, Tensor]:
    """The directions of all marked tokens of `texts`, by layer `[N, d]`."""
    found: dict[int, list[Tensor]] = {}
    for ids, chosen in texts:
        for layer, u in directions(fw, layers, prompter.opening, ids).items():
            found.setdefault(layer, []).append(u[chosen])
    return {layer: torch.cat(parts) for layer, parts in found.items()}


def unseen_dialogues(prompter: Prompter, benchmark: str) -> list[Marked]:
    """Dialogues of the benchmark, marked as those of the corpus are."""
    samples = [s for s in read_benchmark(benchmark) if s.level in (1, 2)]
    found = [fact_tokens(prompter, s) for s in random.Random(0).sample(samples, DIALOGUES)]
    return [(ids, is_fact | F.pad(is_fact[1:], (0, 1))) for ids, is_fact in found]


def unseen_distractors(prompter: Prompter) -> list[Marked]:
    """Held-out distractors, all of whose tokens are marked."""
    texts = [
        distractors.text(random.Random(i), "en", 2 * TOKENS, "heldout") for i in range(DISTRACTORS)
    ]
    found = [prompter.around(ids[:TOKENS], "en") for ids in prompter.ids(texts)]
    return [(ids, torch.ones(len(ids), dtype=torch.bool)) for ids in found]


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
    rng, layers = random.Random(f"{sampler.seed}/gate"), tuple(args.layers)
    parts = [
        marked_dialogues(sampler, rng),
        marked_distractors(sampler, rng),
        unseen_dialogues(prompter, args.benchmark),
        unseen_distractors(prompter),
    ]
    told, other, new_told, new_other = (seen_by(fw, prompter, layers, part) for part in parts)
    print(f"{len(new_told[TOP])} told tokens, {len(new_other[TOP])} of distractors, none seen\n")
    print(
        f"| Input of the gate | AUROC | Distractor tokens written if {KEPT:.0%} of the told are |"
    )
    print("|---|---|---|")
    for layer in [*layers, TOP]:
        u = torch.cat([told[layer], other[layer]])
        positive = torch.cat([torch.ones(len(told[layer])), torch.zeros(len(other[layer]))])
        weight, bias = logistic_regression(u, positive)
        high, low = (part[layer] @ weight + bias for part in (new_told, new_other))
        area = mannwhitneyu(high.numpy(), low.numpy()).statistic / (len(high) * len(low))
        leak = (low > high.quantile(1 - KEPT)).float().mean().item()
        name = "last hidden state (`top`)" if layer == TOP else f"MLP input of layer {layer}"
        print(f"| {name} | {area:.4f} | {leak:.2%} |", flush=True)


if __name__ == "__main__":
    run(main)
