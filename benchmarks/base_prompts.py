"""What an untrained model answers from the dialogue in its context, by what it is told beside.

    python benchmarks/base_prompts.py --base FOLDER --benchmark FILE

The first line of the table has the words of every study. If others make the model answer much
better, EM(A) of the untouched base measures these words and not the model.
"""

import argparse
import sys
from copy import copy
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory.benchmark import Sample, read_benchmark
from ttt_memory.conversation.models.loading import load_model
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.prompts.template import ANSWER_ALONE
from ttt_memory.conversation.recall.answers import answer
from ttt_memory.errors import UserError, run
from ttt_memory.fast_weights import FastWeights, FastWeightsConfig, inject
from ttt_memory.scoring.string_metrics import contains, exact

WORDS = (ANSWER_ALONE["en"], "", "\nAnswer in a few words.", "\nShort answer:")
AT_ONCE = 4  # dialogues


def worded(prompter: Prompter, words: str) -> Prompter:
    """The prompts of a chat model with `words` behind every English question."""
    prompter = copy(prompter)
    before, after = prompter.template.question["en"]
    if not after.startswith(ANSWER_ALONE["en"]):
        raise UserError(f"{prompter.tokenizer.name_or_path}: expected a model with a chat template")
    after = words + after.removeprefix(ANSWER_ALONE["en"])
    question = prompter.template.question | {"en": (before, after)}
    prompter.template = replace(prompter.template, question=question)
    return prompter


@torch.no_grad()
def scores(fw: FastWeights, prompter: Prompter, samples: list[Sample]) -> tuple[int, float, float]:
    """Probes asked with their dialogue in context, the share answered exactly, and within more."""
    right, within = [], []
    for start in range(0, len(samples), AT_ONCE):
        part = samples[start : start + AT_ONCE]
        questions = [
            prompter.ids([prompter.question(p.question, s.language) for p in s.probes])
            for s in part
        ]
        contexts = [[t for session in prompter.sessions(s) for t in session] for s in part]
        for sample, answers in zip(part, answer(fw, prompter, questions, contexts), strict=True):
            for probe, said in zip(sample.probes, answers, strict=True):
                right.append(exact(said.text, probe.gold))
                within.append(contains(said.text, probe.gold))
    return len(right), sum(right) / len(right), sum(within) / len(right)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", required=True, type=Path, help="folder in hub format")
    parser.add_argument("--benchmark", required=True, type=Path, help="samples, Parquet")
    parser.add_argument("--samples", type=int, default=16, help="of level 1, in English")
    parser.add_argument("--dtype", default="bfloat16", choices=["float32", "bfloat16"])
    args = parser.parse_args()
    found = [s for s in read_benchmark(args.benchmark) if (s.level, s.language) == (1, "en")]
    if not found:
        raise UserError(f"{args.benchmark}: found no English sample of level 1")
    fw = inject(load_model(args.base, args.dtype).eval(), FastWeightsConfig(layers=(0,)))
    prompter = Prompter.load(args.base)
    print("| Behind the question | EM | answers that hold the right one | Probes |")
    print("|---|---|---|---|", flush=True)
    for words in WORDS:
        count, em, within = scores(fw, worded(prompter, words), found[: args.samples])
        print(f"| {words.strip() or 'nothing'} | {em:.3f} | {within:.3f} | {count} |", flush=True)


if __name__ == "__main__":
    run(main)
