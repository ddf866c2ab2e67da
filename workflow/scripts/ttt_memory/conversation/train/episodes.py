"""Training batches, each a pure function of the corpus, the seed and the step number."""

import json
import math
import random
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from ... import io
from ...benchmark import Sample, read_benchmark, schemas
from ...benchmark.own_texts import ANY_LANGUAGE
from ...errors import UserError
from ..config.training import EpisodeConfig
from ..prompts.packing import Packed, pack
from ..prompts.prompter import Encoded, Prompter

# Tokens of a dialogue with its probes, about: a step with long texts has fewer of them.
TYPICAL = 500
LONGEST = 12  # turns of a long dialogue


@dataclass(frozen=True)
class Conversation:
    """A conversation of the user's own: its messages as JSON, and where they come from."""

    messages: str
    origin: str


@dataclass(frozen=True)
class Row:
    """A text to go on with: its ids, of which those before `start` open it and are not written."""

    ids: list[int]
    start: int


class Texts:
    """Passages by language, encoded when they are first drawn: of many, a run sees few.

    `chats` are those of the user's own that are conversations, by their place among `own`.
    """

    def __init__(
        self, by_language: dict[str, list[str]], prompter: Prompter, chats: dict[int, Conversation]
    ):
        self.by_language, self.prompter, self.chats = by_language, prompter, chats
        self._encoded: dict[str, list[int]] = {}

    def ids(self, text: str) -> list[int]:
        """Token ids of a passage."""
        if text not in self._encoded:
            (self._encoded[text],) = self.prompter.ids([text])
        return self._encoded[text]

    def draw(self, rng: random.Random, language: str, tokens: int) -> list[int]:
        """Distractor text: passages in random order, cut to `tokens` tokens."""
        passages = self.own or self.by_language[language]
        ids: list[int] = []
        while len(ids) < tokens:
            ids += self.ids(rng.choice(passages))
        return ids[:tokens]

    @property
    def own(self) -> list[str]:
        """Passages of the user's own texts, which stand beside dialogues of every language."""
        return self.by_language.get(ANY_LANGUAGE, [])

    def rows(self, rng: random.Random, count: int) -> list[Row]:
        """`count` own passages of similar length, with replacement, as what a model goes on with.

        A conversation by the chat template if there is one, anything else with the end token.
        """
        drawn = rng.choices(range(len(self.own)), k=4 * count)
        pool = sorted(drawn, key=lambda place: len(self.own[place]))
        first = rng.randrange(3 * count + 1)
        return [self._row(place) for place in pool[first : first + count]]

    def check(self) -> None:
        """Render every conversation once.

        Raises:
            UserError: the chat template refuses one; names the passage and its file.
        """
        if self.prompter.layout.of_template:
            for chat in self.chats.values():
                self._render(chat)

    def _render(self, chat: Conversation) -> tuple[str, str]:
        try:
            return self.prompter.chat(json.loads(chat.messages))
        except UserError as error:
            raise UserError(f"{chat.origin}: {error}") from error

    def _row(self, place: int) -> Row:
        prompter = self.prompter
        if place in self.chats and prompter.layout.of_template:
            opening, rest = map(self.ids, self._render(self.chats[place]))
        else:
            opening, rest = prompter.opening, [*self.ids(self.own[place]), prompter.end]
        return Row([*opening, *rest], len(opening))


class Sampler:
    """Draws encoded dialogues and distractor texts from the training corpus."""

    def __init__(
        self,
        samples: list[Sample],
        passages: dict[str, list[str]],
        prompter: Prompter,
        seed: int,
        probes_per_dialogue: int,
        chats: dict[int, Conversation] | None = None,
    ):
        self.samples, self.prompter, self.seed = samples, prompter, seed
        self.probes_per_dialogue = probes_per_dialogue
        self.texts = Texts(passages, prompter, chats or {})

    def rng(self, *place: int) -> random.Random:
        """A generator that depends on nothing but the seed and the given numbers."""
        return random.Random("/".join(map(str, (self.seed, *place))))

    def draw(self, rng: random.Random, count: int, turns: int | None = None) -> list[Encoded]:
        """`count` dialogues of similar length, with replacement, with some of their probes.

        `turns` cuts each to that many consecutive turns, with the probes they still answer.
        """
        drawn = rng.choices(self.samples, k=4 * count)
        if turns is not None:
            drawn = [crop(sample, turns, rng) for sample in drawn]
        pool = sorted(drawn, key=lambda s: len(s.dialogue))
        first = rng.randrange(3 * count + 1)
        chosen = pool[first : first + count]
        most = self.probes_per_dialogue
        places = [rng.sample(range(len(s.probes)), min(most, len(s.probes))) for s in chosen]
        return self.prompter.encode(chosen, places)


def growing_turns(step: int, steps: int) -> int | None:
    """Turns that dialogues are cut to at `step` of the first `steps`; None once they are whole."""
    return None if step >= steps else 2 + step * (LONGEST - 2) // steps


def crop(sample: Sample, turns: int, rng: random.Random) -> Sample:
    """At most `turns` consecutive turns around a fact that is asked for, and what they answer."""
    lines = sample.dialogue.splitlines(keepends=True)
    if len(lines) <= turns:
        return sample
    ends = list(accumulate(map(len, lines)))
    facts = {fact.fact_id: fact for fact in sample.facts}
    direct = [probe for probe in sample.probes if len(probe.required_facts) == 1]
    asked = facts[rng.choice(direct or sample.probes).required_facts[0]]
    place = bisect_right(ends, asked.start)
    # The turn before may hold the question that the fact's turn answers.
    first = min(max(0, place - rng.randint(min(1, turns - 1), turns - 1)), len(lines) - turns)
    low, high = ends[first] - len(lines[first]), ends[first + turns - 1]
    kept = {name for name, fact in facts.items() if low <= fact.start and fact.end <= high}
    probes = tuple(probe for probe in sample.probes if kept.issuperset(probe.required_facts))
    dialogue = "".join(lines[first : first + turns])
    return replace(sample, dialogue=dialogue, probes=probes or sample.probes[:1])


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    """A draw whose logarithm is uniform between those of `low` and `high`."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


class Reader:
    """Draws what a step reads and asks, for condition A and as the parts of every other."""

    def __init__(self, sampler: Sampler, config: EpisodeConfig):
        self.sampler, self.episode = sampler, config

    def context_batch(self, rng: random.Random, count: int, turns: int | None = None) -> Packed:
        """`count` dialogues, or fewer where the texts are long, with what is read in context."""
        kind = self.kind(rng) if turns is None else "plain"
        tokens = self.distance(rng) if kind in ("after", "before") else 0
        # Dialogues cut to a few turns are as many more.
        count = count if turns is None else count * LONGEST // turns
        size = self.size(rng, kind)
        groups = self.groups(rng, size, max(2, count * TYPICAL // (TYPICAL + tokens)), turns)
        contexts = [[t for e in group for t in e.dialogue] for group in groups]
        if tokens:
            texts = [self.text(rng, group, tokens) for group in groups]
            pairs = zip(contexts, texts, strict=True)
            contexts = [c + t if kind == "after" else t + c for c, t in pairs]
        return self.probes(groups, contexts)

    def list_batch(self, rng: random.Random, count: int, pairs: int) -> Packed:
        """Lists of `pairs` random keys, each with a random value to copy, and a probe for each."""
        tokenizer, opening = self.sampler.prompter.tokenizer, self.sampler.prompter.opening
        first, end = tokenizer.vocab_size // 4, self.sampler.prompter.end
        (between,) = self.sampler.prompter.ids(["："])
        piece = lambda most: rng.sample(range(first, tokenizer.vocab_size), rng.randint(1, most))  # noqa: E731
        contexts, questions, answers = [], [], []
        for _ in range(count):
            separator = rng.choice(([], between))
            entries = [(piece(3) + separator, piece(4)) for _ in range(pairs)]
            contexts.append([*opening, *(t for key, value in entries for t in key + value)])
            questions.append([key for key, _ in entries])
            answers.append([[*value, end] for _, value in entries])
        return pack(contexts, questions, answers)

    def kind(self, rng: random.Random) -> str:
        """One of the names of `StepMix`."""
        mix = self.episode.step_mix.model_dump()
        return rng.choices(list(mix), list(mix.values()))[0]

    def distance(self, rng: random.Random) -> int:
        """Tokens of distractor text."""
        return round(log_uniform(rng, *self.episode.distractor_tokens))

    def text(self, rng: random.Random, group: list[Encoded], tokens: int) -> list[int]:
        """Distractor text in the language of a group of dialogues; `tokens` without its layout."""
        language = group[0].language
        ids = self.sampler.texts.draw(rng, language, tokens)
        return self.sampler.prompter.around(ids, language)

    def size(self, rng: random.Random, kind: str) -> int:
        """Dialogues that share a state: several in a `several` step."""
        return rng.randint(*self.episode.several) if kind == "several" else 1

    def groups(
        self, rng: random.Random, size: int, count: int, turns: int | None = None
    ) -> list[list[Encoded]]:
        """`count` dialogues, in groups of `size` that share a state."""
        number = max(1, count // size)
        examples = self.sampler.draw(rng, number * size, turns)
        rng.shuffle(examples)
        return [examples[i * size : (i + 1) * size] for i in range(number)]

    def probes(
        self, groups: list[list[Encoded]], contexts: list[list[int]] | None = None
    ) -> Packed:
        """Every question that only one dialogue of its group answers, after the contexts if any.

        The opening stands before all.
        """
        opening = self.sampler.prompter.opening
        contexts = [opening + context for context in contexts or [[] for _ in groups]]
        questions, answers = [], []
        for group in groups:
            pairs = [p for e in group for p in zip(e.questions, e.answers, strict=True)]
            counts = Counter(tuple(question) for question, _ in pairs)
            kept = [pair for pair in pairs if counts[tuple(pair[0])] == 1]
            questions.append([question for question, _ in kept])
            answers.append([answer for _, answer in kept])
        return pack(contexts, questions, answers)


def corpus_sampler(
    corpus: str | Path,
    passages: str | Path,
    prompter: Prompter,
    seed: int,
    probes_per_dialogue: int,
) -> Sampler:
    """A sampler over the training corpus, which may have no dialogues, and its passages."""
    texts = io.read_table(passages, schemas.PASSAGES)
    by_language = {name: list(group["text"]) for name, group in texts.groupby("language")}
    own = texts[texts["language"] == ANY_LANGUAGE].reset_index(drop=True).dropna(subset="messages")
    origins = own["topic"] + ", passage " + own["passage_id"]
    chats = {i: Conversation(own["messages"][i], origins[i]) for i in own.index}
    samples = read_benchmark(corpus, at_least=0)
    return Sampler(samples, by_language, prompter, seed, probes_per_dialogue, chats)
