"""What each condition and sweep writes, or puts in context, before it asks which probes.

The texts of an episode are written into one state, or stand in one context; then its probes are
asked. `vocabulary.py` says what each condition means, `EpisodeMaker.makers` how it is made.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from ...benchmark import Probe, Sample, distractors
from ...errors import UserError
from ..config.asking import RecallConfig
from ..prompts.prompter import Prompter

NAN = float("nan")


@dataclass
class Episode:
    """Texts, and the probes that are asked after them.

    Attributes:
        asked: probes, each with its sample and the sample's place among the dialogues.
        texts: token ids of what is written or put in context, in order; each is a document of
            its own.
        setting: alpha, tokens or dialogues of a sweep; NaN otherwise.
    """

    asked: list[tuple[int, Sample, Probe]]
    texts: list[list[int]]
    setting: float = NAN

    @classmethod
    def about(cls, samples: list[Sample], texts: list[list[int]], setting: float = NAN) -> Self:
        """Ask every question of `samples` that only one of them answers.

        "When is it due?" has as many answers as there are dialogues in the state.
        """
        asked = [(i, sample, probe) for i, sample in enumerate(samples) for probe in sample.probes]
        counts = Counter(probe.question for _, _, probe in asked)
        return cls([entry for entry in asked if counts[entry[2].question] == 1], texts, setting)

    @property
    def tokens(self) -> int:
        """Tokens of all texts."""
        return sum(map(len, self.texts))


class EpisodeMaker:
    """Makes the episodes of every condition and sweep from benchmark samples."""

    def __init__(self, prompter: Prompter, samples: list[Sample], config: RecallConfig) -> None:
        self.prompter, self.samples, self.config = prompter, samples, config
        dialogues = prompter.texts([s.dialogue for s in samples], [s.language for s in samples])
        self._dialogues = {s.sample_id: ids for s, ids in zip(samples, dialogues, strict=True)}
        self.makers: dict[str, Callable[[], list[Episode]]] = {
            "A": self._with_distractor_in_context,
            "B": self._dialogue,
            "C": self._nothing,
            "D": self._dialogue_then_distractor,
            "W": self._another_dialogue,
            "N": self._dialogue,  # its state is replaced by noise
            "scale": self._scaled,  # its state is multiplied by the setting
            "retention": self._distances,
            "capacity": self._several_dialogues,
            "capacity_context": self._several_dialogues,
        }

    def episodes(self, condition: str) -> list[Episode]:
        """Every episode of a condition or sweep, in benchmark order.

        Raises:
            UserError: there is no such condition, or the benchmark has not the samples it needs.
        """
        if condition not in self.makers:
            raise UserError(f"found condition {condition!r}, expected one of {[*self.makers]}")
        return self.makers[condition]()

    def _dialogue(self) -> list[Episode]:
        return [Episode.about([s], [self._dialogues[s.sample_id]]) for s in self.samples]

    def _with_distractor_in_context(self) -> list[Episode]:
        """The dialogue, and the distractor of a level that has one: A has what D has written."""
        return [self._then_distractor(s) for s in self.samples]

    def _nothing(self) -> list[Episode]:
        return [Episode.about([s], []) for s in self.samples]

    def _dialogue_then_distractor(self) -> list[Episode]:
        return [self._then_distractor(s) for s in self.samples if s.distractor]

    def _another_dialogue(self) -> list[Episode]:
        return [
            Episode.about([s], [self._dialogues[self._donor(place).sample_id]])
            for place, s in enumerate(self.samples)
        ]

    def _scaled(self) -> list[Episode]:
        chosen = self._sweep_samples()
        return [
            Episode.about([s], [self._dialogues[s.sample_id]], alpha)
            for alpha in self.config.scales
            for s in chosen
        ]

    def _distances(self) -> list[Episode]:
        chosen = self._sweep_samples()
        return [self._distant(s, n) for n in self.config.distances for s in chosen]

    def _several_dialogues(self) -> list[Episode]:
        episodes = []
        for count in self.config.dialogues:
            for language in dict.fromkeys(s.language for s in self.samples):
                chosen = [s for s in self._sweep_samples() if s.language == language]
                # The dialogues of a group come from far apart, so that their skeletons differ.
                groups = len(chosen) // count
                for g in range(groups):
                    group = chosen[g : groups * count : groups]
                    texts = [self._dialogues[s.sample_id] for s in group]
                    episodes.append(Episode.about(group, texts, count))
        return episodes

    def _then_distractor(self, sample: Sample) -> Episode:
        """The dialogue and, if the sample has one, its distractor."""
        texts = [self._dialogues[sample.sample_id]]
        if sample.distractor:
            texts += self.prompter.texts([sample.distractor], [sample.language])
        return Episode.about([sample], texts)

    def _donor(self, place: int) -> Sample:
        """The next sample of the same language and level, cyclically: never the sample itself."""
        own = self.samples[place]
        order = self.samples[place + 1 :] + self.samples[:place]
        for other in order:
            if (other.language, other.level) == (own.language, own.level):
                return other
        raise UserError(
            f"sample {own.sample_id}: condition W needs two samples of its language and level"
        )

    def _sweep_samples(self) -> list[Sample]:
        chosen = [s for s in self.samples if s.level == 1 and s.split == self.config.sweep_split]
        if not chosen:
            raise UserError(
                f"recall.sweep_split: no level-1 sample of split {self.config.sweep_split!r}"
            )
        return chosen[: self.config.sweep_samples]

    def _distant(self, sample: Sample, tokens: int) -> Episode:
        """The dialogue, then `tokens` tokens of distractor text that no training has seen."""
        texts = [self._dialogues[sample.sample_id]]
        if tokens:
            rng = random.Random(f"{self.config.seed}/{sample.sample_id}")
            # Ask for twice the length: the generator does not count this model's tokens.
            text = distractors.text(rng, sample.language, 2 * max(self.config.distances), "heldout")
            ids = self.prompter.ids([text])[0]
            if len(ids) < tokens:
                raise UserError(f"recall.distances: {tokens} tokens asked, the text has {len(ids)}")
            texts.append(self.prompter.around(ids[:tokens], sample.language))
        return Episode.about([sample], texts, tokens)
