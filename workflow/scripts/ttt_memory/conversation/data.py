"""Training batches, each a pure function of the corpus, the seed and the step number."""

import math
import random
from collections import Counter
from dataclasses import dataclass

from ..benchmark import Sample
from .config import ReadingConfig
from .packing import Packed, pack
from .prompts import Encoded, Prompter

# Tokens of a dialogue with its probes, about: a step with long texts has fewer of them.
TYPICAL = 500


@dataclass(frozen=True)
class Texts:
    """Distractor passages as token ids, by language."""

    by_language: dict[str, list[list[int]]]

    def draw(self, rng: random.Random, language: str, tokens: int) -> list[int]:
        """Passages in random order, cut to `tokens` tokens."""
        passages = self.by_language[language]
        ids: list[int] = []
        while len(ids) < tokens:
            ids += rng.choice(passages)
        return ids[:tokens]


class Sampler:
    """Draws encoded dialogues and distractor texts from the training corpus."""

    def __init__(
        self,
        samples: list[Sample],
        passages: dict[str, list[str]],
        prompter: Prompter,
        seed: int,
        probes_per_dialogue: int,
    ):
        self.samples, self.prompter, self.seed = samples, prompter, seed
        self.probes_per_dialogue = probes_per_dialogue
        self.texts = Texts({language: prompter.ids(texts) for language, texts in passages.items()})

    def rng(self, *place: int) -> random.Random:
        """A generator that depends on nothing but the seed and the given numbers."""
        return random.Random("/".join(map(str, (self.seed, *place))))

    def draw(self, rng: random.Random, count: int) -> list[Encoded]:
        """`count` dialogues of similar length, with replacement, with some of their probes."""
        pool = sorted(rng.choices(self.samples, k=4 * count), key=lambda s: len(s.dialogue))
        first = rng.randrange(3 * count + 1)
        chosen = pool[first : first + count]
        most = self.probes_per_dialogue
        places = [rng.sample(range(len(s.probes)), min(most, len(s.probes))) for s in chosen]
        return self.prompter.encode(chosen, places)


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    """A draw whose logarithm is uniform between those of `low` and `high`."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


class Reader:
    """Draws what a step reads and asks, for condition A and as the parts of every other."""

    def __init__(self, sampler: Sampler, config: ReadingConfig):
        self.sampler, self.reading = sampler, config

    def context_batch(self, rng: random.Random, count: int) -> Packed:
        """`count` dialogues, or fewer where the texts are long, with what is read in context."""
        kind = self.kind(rng)
        tokens = self.distance(rng) if kind in ("after", "before") else 0
        groups = self.groups(rng, kind, max(2, count * TYPICAL // (TYPICAL + tokens)))
        contexts = [[t for e in group for t in e.dialogue] for group in groups]
        if tokens:
            texts = [self.text(rng, group, tokens) for group in groups]
            pairs = zip(contexts, texts, strict=True)
            contexts = [c + t if kind == "after" else t + c for c, t in pairs]
        return self.probes(groups, contexts)

    def list_batch(self, rng: random.Random, count: int, pairs: int) -> Packed:
        """Lists of `pairs` random keys, each with a random value to copy, and a probe for each."""
        tokenizer = self.sampler.prompter.tokenizer
        first, end = tokenizer.vocab_size // 4, self.sampler.prompter.end
        (between,) = self.sampler.prompter.ids(["："])
        piece = lambda most: rng.sample(range(first, tokenizer.vocab_size), rng.randint(1, most))  # noqa: E731
        contexts, questions, answers = [], [], []
        for _ in range(count):
            separator = rng.choice(([], between))
            entries = [(piece(3) + separator, piece(4)) for _ in range(pairs)]
            contexts.append([token for key, value in entries for token in key + value])
            questions.append([key for key, _ in entries])
            answers.append([[*value, end] for _, value in entries])
        return pack(contexts, questions, answers)

    def kind(self, rng: random.Random) -> str:
        """One of the names of `StepMix`."""
        mix = self.reading.step_mix.model_dump()
        return rng.choices(list(mix), list(mix.values()))[0]

    def distance(self, rng: random.Random) -> int:
        """Tokens of distractor text."""
        return round(log_uniform(rng, *self.reading.distractor_tokens))

    def text(self, rng: random.Random, group: list[Encoded], tokens: int) -> list[int]:
        """Distractor text in the language of a group of dialogues."""
        return self.sampler.texts.draw(rng, group[0].language, tokens)

    def groups(self, rng: random.Random, kind: str, count: int) -> list[list[Encoded]]:
        """`count` dialogues, grouped by the state they share: several in a `several` step."""
        size = rng.randint(*self.reading.several) if kind == "several" else 1
        number = max(1, count // size)
        examples = self.sampler.draw(rng, number * size)
        rng.shuffle(examples)
        return [examples[i * size : (i + 1) * size] for i in range(number)]

    def probes(
        self, groups: list[list[Encoded]], contexts: list[list[int]] | None = None
    ) -> Packed:
        """Every question that only one dialogue of its group answers."""
        questions, answers = [], []
        for group in groups:
            pairs = [p for e in group for p in zip(e.questions, e.answers, strict=True)]
            counts = Counter(tuple(question) for question, _ in pairs)
            kept = [pair for pair in pairs if counts[tuple(pair[0])] == 1]
            questions.append([question for question, _ in kept])
            answers.append([answer for _, answer in kept])
        return pack(contexts or [[] for _ in groups], questions, answers)
