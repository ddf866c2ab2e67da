"""What a memory that refuses too often would answer: each refusal made dearer, until none is left.

    python benchmarks/refusals.py --base FOLDER --model data/models/smollm2-memory-kept/0 \
        --benchmark FILE

The score of the first token of "I don't know." is lowered by a price. A probe is refused if that
token stays ahead of all others. So its margin, and the answer that comes when the token cannot be
chosen, tell what every price gives. Asked are all-new dialogues of levels 1 and 2, and of level 6,
whose questions nothing answers. No price is chosen here: that would tune on the test.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import bootstrap
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory.benchmark import Sample, read_benchmark
from ttt_memory.benchmark.sample import REFUSALS
from ttt_memory.conversation.models.trained_run import load_run
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.recall.answers import answer
from ttt_memory.conversation.recall.write_dialogues import write_texts
from ttt_memory.errors import UserError, run
from ttt_memory.fast_weights import FastWeights
from ttt_memory.scoring.string_metrics import best, exact

LEVELS = (1, 2, 6)
SEGMENT = 512  # tokens of a dialogue that are written at once
AT_ONCE = 4  # dialogues
NEVER = float("inf")


@dataclass(frozen=True)
class Asked:
    """One probe.

    Attributes:
        dialogue: number of its dialogue.
        answerable: whether the dialogue answers it.
        margin: logit of the refusal's first token before the best of all others.
        right: whether the answer without that token is right.
    """

    dialogue: int
    answerable: bool
    margin: float
    right: bool


@contextmanager
def without_token(head: nn.Module, token: int) -> Iterator[list[Tensor]]:
    """Inside the block `token` is never the best, and each pass adds its margins to the list."""
    margins: list[Tensor] = []

    def forbid(_module: nn.Module, _inputs: tuple, logits: Tensor) -> Tensor:
        refusal = logits[..., token].clone()
        logits = logits.index_fill(-1, torch.tensor([token], device=logits.device), -torch.inf)
        margins.append(refusal - logits.amax(-1))
        return logits

    hook = head.register_forward_hook(forbid)
    try:
        yield margins
    finally:
        hook.remove()


@torch.no_grad()
def ask(
    fw: FastWeights, prompter: Prompter, samples: list[Sample], condition: str, token: int
) -> list[Asked]:
    """Ask every probe of `samples` in condition A or B, without the token that begins a refusal."""
    asked = []
    for start in range(0, len(samples), AT_ONCE):
        part = samples[start : start + AT_ONCE]
        texts = [prompter.sessions(sample) for sample in part]
        questions = [
            prompter.ids([prompter.question(p.question, "en") for p in s.probes]) for s in part
        ]
        if condition == "A":
            kept = {"contexts": [[t for text in row for t in text] for row in texts]}
        else:
            kept = {"state": write_texts(fw, prompter, texts, SEGMENT).readable()}
        with without_token(fw.model.get_output_embeddings(), token) as margins:
            said = answer(fw, prompter, questions, **kept)
        # The first pass that scored as many tokens as there are questions chose the first tokens.
        first = next(m for m in margins if m.shape[-1] == max(map(len, questions)))
        for row, (sample, answers) in enumerate(zip(part, said, strict=True)):
            for lane, (probe, found) in enumerate(zip(sample.probes, answers, strict=True)):
                golds = (probe.gold, *probe.accepted)
                right = probe.answerable and bool(best(exact, found.text, golds))
                margin = first[row, lane].item()
                asked.append(Asked(start + row, probe.answerable, margin, right))
    return asked


def share(dialogues: list[int], hits: list[bool]) -> str:
    """Share of hits, with a 95% interval by bootstrap over dialogues."""
    names, place = np.unique(dialogues, return_inverse=True)
    hit, count = np.bincount(place, weights=hits), np.bincount(place)
    mean = hit.sum() / count.sum()
    if len(names) < 2 or hit.sum() in (0, count.sum()):
        return f"{mean:.3f}"
    found = bootstrap(
        (hit, count), lambda h, c: h.sum() / c.sum(), paired=True, vectorized=False, rng=0
    )
    low, high = found.confidence_interval
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def told_apart(asked: list[Asked]) -> float:
    """Chance that a probe without an answer has a larger margin than one with an answer (AUROC)."""
    told = np.array([a.margin for a in asked if a.answerable])
    untold = np.array([a.margin for a in asked if not a.answerable])
    return float(np.mean(untold[:, None] > told) + np.mean(untold[:, None] == told) / 2)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", required=True, help="the base model, a folder in Hub format")
    parser.add_argument("--model", required=True, help="a trained run")
    parser.add_argument("--benchmark", required=True, type=Path, help="samples, Parquet")
    parser.add_argument("--split", default="all_new", help="split of the dialogues")
    parser.add_argument("--prices", nargs="+", type=float, default=[0, 2, 4, 8, NEVER])
    args = parser.parse_args()
    samples = [
        s
        for s in read_benchmark(args.benchmark)
        if (s.language, s.split) == ("en", args.split) and s.level in LEVELS
    ]
    if not samples:
        raise UserError(f"{args.benchmark}: found no English sample of split {args.split!r}")
    fw, prompter = load_run(args.model, args.base, torch.device("cpu")), Prompter.load(args.base)
    token = prompter.ids([prompter.answer(REFUSALS["en"], "en")])[0][0]
    print("| Condition | Price, nats | EM | Refused though told | False answers | Told, untold |")
    print("|---|---|---|---|---|---|", flush=True)
    for condition in ("A", "B"):
        asked = ask(fw, prompter, samples, condition, token)
        told = [a for a in asked if a.answerable]
        untold = [a for a in asked if not a.answerable]
        for price in args.prices:
            of = [a.dialogue for a in told]
            cells = [
                share(of, [a.right and a.margin < price for a in told]),
                share(of, [a.margin >= price for a in told]),
                share([a.dialogue for a in untold], [a.margin < price for a in untold]),
            ]
            name = "never refused" if price == NEVER else f"{price:g}"
            row = [condition, name, *cells, f"{len(told)}, {len(untold)}"]
            print(f"| {' | '.join(row)} |", flush=True)
        print(f"\n{condition}: told apart {told_apart(asked):.3f} (AUROC)\n", flush=True)


if __name__ == "__main__":
    run(main)
