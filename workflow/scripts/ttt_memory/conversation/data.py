"""Training batches, each a pure function of the corpus, the seed and the step number."""

import math
import random
from dataclasses import dataclass

from ..benchmark import Sample
from .prompts import Encoded, Prompter


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
        """`count` dialogues of similar length, drawn with replacement, with some of their probes."""
        pool = sorted(rng.choices(self.samples, k=4 * count), key=lambda s: len(s.dialogue))
        first = rng.randrange(3 * count + 1)
        chosen = pool[first : first + count]
        most = self.probes_per_dialogue
        places = [rng.sample(range(len(s.probes)), min(most, len(s.probes))) for s in chosen]
        return self.prompter.encode(chosen, places)


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    """A draw whose logarithm is uniform between those of `low` and `high`."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))
