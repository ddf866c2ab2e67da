"""What a trained memory costs the model beside it: its loss on plain text and on its own answers.

    python benchmarks/side_effects.py --base FOLDER --model data/models/smollm2-memory/0

Plain text is the documentation of the language that comes with Python, cut into windows.
Instruction text is a list of everyday requests, each with the greedy answer of the untouched base:
the loss says how much another model would rather have said something else. Intervals are of the
difference to the untouched base, by bootstrap over windows or requests.
"""

import argparse
import pydoc_data.topics
import sys
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from scipy.stats import bootstrap
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory.benchmark import corpus
from ttt_memory.conversation.models import lora
from ttt_memory.conversation.models.trained_run import load_base, load_run
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.prompts.template import render_chat
from ttt_memory.conversation.recall.write_dialogues import write_texts
from ttt_memory.errors import UserError, run
from ttt_memory.fast_weights import FastWeights

REQUESTS = (
    "How do I boil an egg so that the yolk stays soft?",
    "Explain to a child why the sky is blue.",
    "Write a short thank-you note to a neighbour who fed my cat.",
    "What is the difference between weather and climate?",
    "Give me three ideas for a rainy Sunday with two kids.",
    "Translate into French: Where is the railway station?",
    "What does HTTP stand for, and what is it for?",
    "Write a Python function that returns the largest number in a list.",
    "Why do leaves change their colour in autumn?",
    "Suggest a name for a small bakery near a harbour.",
    "How can I fall asleep faster?",
    "Sum up the plot of Romeo and Juliet in two sentences.",
    "What are the three states of matter?",
    "Rewrite politely: Send me the report now.",
    "How many minutes are there in a day?",
    "What should I pack for a weekend of hiking?",
    "Tell me a fact about octopuses.",
    "What is compound interest?",
    "List five vegetables that grow well in pots.",
    "Who wrote Pride and Prejudice?",
    "How do vaccines work?",
    "Write a haiku about the sea.",
    "What is the capital of Australia?",
    "Give two arguments for and against working from home.",
)
ANSWER_TOKENS = 80
SEGMENT = 512  # tokens of a dialogue that are written at once

# Logits [1, T, vocabulary] of input_ids [1, T].
Forward = Callable[..., object]


def windows(prompter: Prompter, count: int, length: int) -> list[list[int]]:
    """`count` windows of `length` tokens, evenly spread over the documentation."""
    texts = pydoc_data.topics.topics
    ids = prompter.ids(["\n\n".join(texts[name] for name in sorted(texts))])[0]
    if len(ids) < count * length:
        raise UserError(f"--windows: found {count}, expected at most {len(ids) // length}")
    starts = np.linspace(0, len(ids) - length, count, dtype=int)
    return [ids[start : start + length] for start in starts]


def answered(forward: Forward, prompter: Prompter) -> list[tuple[list[int], int]]:
    """Each request with the greedy answer of `forward`: ids, and the number of the prompt's."""
    found = []
    for request in REQUESTS:
        messages = [{"role": "user", "content": request}]
        prompt = prompter.ids([render_chat(prompter.tokenizer, messages, to_answer=True)])[0]
        ids, cache = list(prompt), None
        for _ in range(ANSWER_TOKENS):
            new = ids if cache is None else ids[-1:]
            output = forward(input_ids=torch.tensor([new]), past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            ids.append(int(output.logits[0, -1].argmax()))
            if ids[-1] == prompter.end:
                break
        found.append((ids, len(prompt)))
    return found


def losses(forward: Forward, texts: list[tuple[list[int], int]]) -> np.ndarray:
    """The mean next-token loss of each text, from its given token on; nats."""
    found = []
    for text, start in texts:
        ids = torch.tensor([text])
        logits = forward(input_ids=ids).logits[0, start - 1 : -1].float()
        found.append(F.cross_entropy(logits, ids[0, start:]).item())
    return np.array(found)


def without_adapter(fw: FastWeights) -> Forward:
    """The model of `fw` with its adapters off."""

    def forward(**inputs: object) -> object:
        with lora.without(fw.model):
            return fw.plain(**inputs)

    return forward


def described(found: np.ndarray, base: np.ndarray) -> str:
    """Mean, and its difference to the base's with an interval."""
    apart = found - base
    if not apart.any():
        return f"{found.mean():.3f} | same, bit for bit"
    low, high = bootstrap((apart,), np.mean, rng=0).confidence_interval
    return f"{found.mean():.3f} | {apart.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", required=True, help="the base model, a folder in Hub format")
    parser.add_argument("--model", required=True, help="a trained run with an adapter")
    parser.add_argument("--windows", type=int, default=32, help="windows of plain text")
    parser.add_argument("--tokens", type=int, default=512, help="tokens of a window")
    args = parser.parse_args()
    base = load_base(args.base, args.base).eval()
    fw = load_run(args.model, args.base, torch.device("cpu"))
    prompter = Prompter.load(args.base)
    if not prompter.template.from_chat:
        raise UserError(f"--base: {args.base} has no chat template, expected one for the requests")
    (sample,) = islice(corpus.dialogues("en", seed=1), 1)
    told = write_texts(fw, prompter, [prompter.sessions(sample)], SEGMENT).readable()
    forwards: dict[str, Forward] = {
        "base, untouched": base,
        "adapter off": without_adapter(fw),
        "adapter on, memory off": fw.plain,
        "memory on, nothing written": partial(fw.read, fw.empty_state(1).readable()),
        "memory on, a dialogue written": partial(fw.read, told),
    }
    plain = [(ids, 1) for ids in windows(prompter, args.windows, args.tokens)]
    requests = answered(base, prompter)
    print(f"{args.windows} windows of {args.tokens} tokens, {len(REQUESTS)} requests; nats\n")
    print("| Model | Plain text | to the base | Its own answers | to the base |")
    print("|---|---|---|---|---|")
    first = None
    for name, forward in forwards.items():
        found = [losses(forward, texts) for texts in (plain, requests)]
        first = first or found
        cells = [described(*pair) for pair in zip(found, first, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    run(main)
