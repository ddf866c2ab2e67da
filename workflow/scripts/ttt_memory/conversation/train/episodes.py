"""Training episodes: the texts put before the probes, and the probes asked afterwards."""

import math
import random
from collections import Counter

from ...benchmark.sample import IMPORTED, SYNTHETIC
from ..config.training import EpisodeConfig
from ..prompts.packing import Packed, pack
from ..prompts.prompter import EncodedDialogue
from .corpus_sampler import CorpusSampler

# Usual number of tokens of a dialogue with its probes. Steps with long distractors hold fewer
# dialogues, so that they cost about as much.
TYPICAL = 500
LONGEST = 12  # turns of a long dialogue
Pair = tuple[list[int], list[int]]  # token ids of a question and its answer


def growing_turns(step: int, steps: int) -> int | None:
    """Number of turns that dialogues are cut to at `step`; None from step `steps` on."""
    return None if step >= steps else 2 + step * (LONGEST - 2) // steps


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    """A number between `low` and `high` whose logarithm is drawn uniformly."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


class EpisodeMaker:
    """Draws the parts of episodes, and whole batches of condition A.

    A group is the list of dialogues that share one state, or one context.
    """

    def __init__(self, sampler: CorpusSampler, config: EpisodeConfig):
        self.sampler, self.config = sampler, config

    def context_batch(self, rng: random.Random, count: int, turns: int | None = None) -> Packed:
        """A batch of condition A: about `count` dialogues with their distractors in context.

        There are fewer dialogues if the distractors are long, and more if `turns` cuts the
        dialogues to that many turns.
        """
        kind = self.kind(rng) if turns is None else "plain"
        tokens = self.distractor_tokens(rng) if kind in ("after", "before") else 0
        count = count if turns is None else count * LONGEST // turns
        size = self.group_size(rng, kind)
        count = max(2, count * TYPICAL // (TYPICAL + tokens))
        groups = self.groups(rng, [None] * size, count, turns)
        contexts = [[t for e in group for t in e.context] for group in groups]
        if tokens:
            texts = [self.distractor(rng, group, tokens) for group in groups]
            pairs = zip(contexts, texts, strict=True)
            contexts = [c + t if kind == "after" else t + c for c, t in pairs]
        return self.probes(groups, contexts)

    def list_batch(self, rng: random.Random, count: int, pairs: int) -> Packed:
        """`count` lists of `pairs` random keys, each with a random value, and a probe for each.

        A probe gives the key and is answered by its value.
        """
        tokenizer, opening = self.sampler.prompter.tokenizer, self.sampler.prompter.opening
        first, end = tokenizer.vocab_size // 4, self.sampler.prompter.end
        (between,) = self.sampler.prompter.ids(["："])

        def random_ids(most: int) -> list[int]:
            return rng.sample(range(first, tokenizer.vocab_size), rng.randint(1, most))

        contexts, questions, answers = [], [], []
        for _ in range(count):
            separator = rng.choice(([], between))
            entries = [(random_ids(3) + separator, random_ids(4)) for _ in range(pairs)]
            contexts.append([*opening, *(t for key, value in entries for t in key + value)])
            questions.append([key for key, _ in entries])
            answers.append([[*value, end] for _, value in entries])
        return pack(contexts, questions, answers)

    def kind(self, rng: random.Random) -> str:
        """Draw the kind of an episode, one of the keys of `StepMix`."""
        mix = self.config.step_mix.model_dump()
        return rng.choices(list(mix), list(mix.values()))[0]

    def distractor_tokens(self, rng: random.Random) -> int:
        """Draw the number of tokens of a distractor."""
        return round(log_uniform(rng, *self.config.distractor_tokens))

    def distractor(
        self, rng: random.Random, group: list[EncodedDialogue], tokens: int
    ) -> list[int]:
        """Ids of a rendered distractor in the language of a group.

        It has `tokens` tokens, not counting those that the prompt template adds.
        """
        language = group[0].language
        ids = self.sampler.passages.distractor(rng, language, tokens)
        return self.sampler.prompter.around(ids, language)

    def group_size(self, rng: random.Random, kind: str) -> int:
        """Draw the number of dialogues in a group; it is 1 unless the kind is `several`."""
        return rng.randint(*self.config.several) if kind == "several" else 1

    def sessions(self, rng: random.Random, size: int, turns: int | None) -> list[int | None]:
        """Draw the number of sessions of each dialogue of a group of `size`.

        All groups of a step have the same, so that one forward pass writes a session of each. None
        where `turns` cuts dialogues: one session is left of each.
        """
        return [None if turns is not None else self.sampler.sessions(rng) for _ in range(size)]

    def groups(
        self,
        rng: random.Random,
        sessions: list[int | None],
        count: int,
        turns: int | None = None,
    ) -> list[list[EncodedDialogue]]:
        """Draw `count` dialogues in groups, whose dialogues have as many `sessions` as given."""
        number = max(1, count // len(sessions))
        columns = [self.sampler.draw(rng, number, turns, n) for n in sessions]
        return [list(group) for group in zip(*columns, strict=True)]

    def probes(
        self, groups: list[list[EncodedDialogue]], contexts: list[list[int]] | None = None
    ) -> Packed:
        """Pack the probes of each group, after its context if there is one.

        Every row begins with the opening. Questions of the next group are asked too, as many as
        `foreign_probes` says; the right answer is the refusal.
        """
        opening = self.sampler.prompter.opening
        contexts = [opening + context for context in contexts or [[] for _ in groups]]
        kept = [asked_of(group) for group in groups]
        for row, group in enumerate(groups):
            following = groups[(row + 1) % len(groups)]
            kept[row] += self._foreign(group, following)
        questions = [[question for question, _ in pairs] for pairs in kept]
        answers = [[answer for _, answer in pairs] for pairs in kept]
        return pack(contexts, questions, answers)

    def refused(self, examples: list[EncodedDialogue]) -> Packed:
        """Pack the probes of each dialogue as condition C trains them: nothing was told."""
        opening = self.sampler.prompter.opening
        questions = [example.questions for example in examples]
        answers = [[example.refusal] * len(example.questions) for example in examples]
        return pack([opening] * len(examples), questions, answers)

    def _foreign(self, group: list[EncodedDialogue], other: list[EncodedDialogue]) -> list[Pair]:
        """Questions about a dialogue of `other`, which no dialogue of `group` answers."""
        if not group or not other:
            return []
        told = {tuple(question) for example in group for question in example.questions}
        skeletons = {example.skeleton for example in group} - {SYNTHETIC}
        source = other[0]
        if source.skeleton in skeletons or source.language != group[0].language:
            return []
        # A conversation from elsewhere may answer more than its file asks.
        if any(example.skeleton.startswith(IMPORTED) for example in [*group, source]):
            return []
        asked = zip(source.questions, source.answerable, strict=True)
        unknown = [q for q, answerable in asked if answerable and tuple(q) not in told]
        return [(question, source.refusal) for question in unknown[: self.config.foreign_probes]]


def asked_of(group: list[EncodedDialogue]) -> list[Pair]:
    """The probes of dialogues in one state or context, each as question and answer.

    A question that several of them answer is left out, and so is one that one of them does not
    answer, since another one might.
    """
    pairs = [
        (question, answer)
        for example in group
        for question, answer, answerable in zip(
            example.questions, example.answers, example.answerable, strict=True
        )
        if answerable or len(group) == 1
    ]
    counts = Counter(tuple(question) for question, _ in pairs)
    return [pair for pair in pairs if counts[tuple(pair[0])] == 1]
