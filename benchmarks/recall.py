"""Speed of batched recall, compared with the published loop and with one probe at a time.

    python benchmarks/recall.py --model results/runs/write-drop-read/0/model \
        --base data/models/embedded --benchmark results/benchmark/benchmark.parquet [--check]

All ask probes of the same model in one process on one thread:

- published loop: for each probe the dialogue is read anew, alone (batch 1); what is written is kept
  as a dense weight, and every answer is generated to its full length;
- one probe, dense state: each dialogue is written once, and an answer ends at its end token;
- batched: the engine of this project.

The slow ones ask about the first dialogues alone. Printed are probes per second and ratios of them.
--check exits with status 1 when an answer differs or a ratio is below its target.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from transformers import DynamicCache

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory.benchmark import read_benchmark
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.conversation.models.trained_run import load_run
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.recall.ask import Recall
from ttt_memory.conversation.recall.episodes import Episode
from ttt_memory.conversation.recall.naive import answer_naive, write_naive
from ttt_memory.errors import run
from ttt_memory.vocabulary import IN_CONTEXT

# Targets. On one core a batch saves calls, and no arithmetic: what a small model spends in products
# does not shrink, and that is half of the time and more.
PUBLISHED, SINGLE = 100.0, 2.0

Answers = dict[tuple[str, str], str]  # by sample and probe
Forward = Callable[..., object]


@torch.no_grad()
def whole_answer(forward: Forward, prompter: Prompter, ids: list[int], limit: int) -> str:
    """The greedy answer after `ids`, of `limit` tokens whatever they are."""
    cache, said, following = DynamicCache(), [], torch.tensor([ids])
    for _ in range(limit):
        logits = forward(input_ids=following, past_key_values=cache, use_cache=True).logits
        said.append(int(logits[0, -1].argmax()))
        following = torch.tensor([said[-1:]])
    return prompter.decode(said)[0]


def published(recall: Recall, condition: str, episodes: list[Episode]) -> Answers:
    """Each probe by itself, its dialogue read anew."""
    fw, prompter, limit = recall.fw, recall.prompter, recall.config.max_new_tokens
    found = {}
    for episode in episodes:
        for _, sample, probe in episode.asked:
            (question,) = prompter.ids([prompter.question(probe.question, sample.language)])
            ids, forward = prompter.opening + question, fw.plain
            if condition in IN_CONTEXT:
                ids = prompter.opening + episode.ids + question
            elif episode.texts:
                state = write_naive(fw, episode.texts, prompter.opening)
                forward = partial(fw.read, state)
            answer = whole_answer(forward, prompter, ids, limit)
            found[sample.sample_id, probe.probe_id] = answer
    return found


def single(recall: Recall, episodes: list[Episode]) -> Answers:
    """Each probe by itself, condition B; each dialogue is written once."""
    fw, prompter, limit = recall.fw, recall.prompter, recall.config.max_new_tokens
    found = {}
    for episode in episodes:
        state = write_naive(fw, episode.texts, prompter.opening)
        for _, sample, probe in episode.asked:
            (question,) = prompter.ids([prompter.question(probe.question, sample.language)])
            answer = answer_naive(fw, prompter, question, state, limit)
            found[sample.sample_id, probe.probe_id] = answer.text
    return found


def batched(recall: Recall, condition: str) -> Answers:
    """The engine of this project."""
    rows = recall.run(condition)
    return {(row["sample_id"], row["probe_id"]): row["prediction"] for row in rows}


def timed(ask: Callable[[], Answers]) -> tuple[Answers, float]:
    """What `ask` returns, and its probes per second."""
    started = time.perf_counter()
    found = ask()
    return found, len(found) / (time.perf_counter() - started)


def compared(recall: Recall, condition: str, few: int) -> list[str]:
    """Print the rows of a condition, and return what missed its target."""
    episodes = recall.maker.episodes(condition)[:few]
    ways = [("published loop", partial(published, recall, condition, episodes), PUBLISHED)]
    if condition == "B":
        ways.append(("one probe, dense state", partial(single, recall, episodes), SINGLE))
    fast, speed = timed(partial(batched, recall, condition))
    print(f"{condition:<11}{'batched':<26}{len(fast):>8}{speed:>11.2f}")
    missed = []
    for name, ask, target in ways:
        found, slow = timed(ask)
        ratio, different = speed / slow, sum(found[key] != fast[key] for key in found)
        print(
            f"{condition:<11}{name:<26}{len(found):>8}{slow:>11.2f}{ratio:>8.1f}{target:>8g}"
            f"{different:>11}",
            flush=True,
        )
        if ratio < target or different:
            missed.append(f"{condition}, {name}: ratio {ratio:.1f}, {different} other answers")
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of the trained run")
    parser.add_argument("--base", required=True, help="base model, a folder in Hub format")
    parser.add_argument("--benchmark", required=True, help="benchmark, Parquet")
    parser.add_argument("--conditions", default="ABCD", help="letters of conditions")
    parser.add_argument("--samples", type=int, default=100, help="number of dialogues of a level")
    parser.add_argument("--few", type=int, default=20, help="how many of them the slow ones ask")
    parser.add_argument("--rows", type=int, default=128, help="number of dialogues in a batch")
    parser.add_argument("--probe-rows", type=int, default=1024, help="number of probes in a batch")
    parser.add_argument("--check", action="store_true", help="exit with 1 below a target")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = read_benchmark(args.benchmark)
    # Of each level the first: a condition asks those of the levels that it is about.
    levels = sorted({sample.level for sample in found})
    samples = [s for n in levels for s in [s for s in found if s.level == n][: args.samples]]
    fw = load_run(args.model, args.base, torch.device("cpu"))
    config = RecallConfig(rows=args.rows, probe_rows=args.probe_rows, device="cpu")
    recall = Recall(fw, Prompter.load(args.base), samples, config)
    names = ("probes", "probes/s", "ratio", "target", "different")
    print(f"{'condition':<11}{'way':<26}{'{:>8}{:>11}{:>8}{:>8}{:>11}'.format(*names)}")
    missed = [line for c in args.conditions for line in compared(recall, c, args.few)]
    if args.check and missed:
        sys.exit(f"benchmarks/recall.py: target missed: {'; '.join(missed)}")


if __name__ == "__main__":
    run(main)
