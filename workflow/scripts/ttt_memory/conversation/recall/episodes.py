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
from ...benchmark.sample import SYNTHETIC
from ...errors import UserError
from ...vocabulary import ALTERNATIVES
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
        distance: of an alternative, the tokens of distractor text that the last of its texts has;
            0 where there is none.
    """

    asked: list[tuple[int, Sample, Probe]]
    texts: list[list[int]]
    setting: float = NAN
    distance: int = 0

    @classmethod
    def about(
        cls,
        samples: list[Sample],
        texts: list[list[int]],
        setting: float = NAN,
        distance: int = 0,
    ) -> Self:
        """Ask every question of `samples` that only one of them answers.

        "When is it due?" has as many answers as there are dialogues in the state.
        """
        asked = [(i, sample, probe) for i, sample in enumerate(samples) for probe in sample.probes]
        counts = Counter(probe.question for _, _, probe in asked)
        asked = [entry for entry in asked if counts[entry[2].question] == 1]
        return cls(asked, texts, setting, distance)

    @property
    def tokens(self) -> int:
        """Tokens of all texts."""
        return sum(map(len, self.texts))

    @property
    def ids(self) -> list[int]:
        """All texts, one after the other."""
        return [token for text in self.texts for token in text]

    @property
    def dialogue_tokens(self) -> int:
        """Tokens of the texts before the distractor of an alternative."""
        return sum(map(len, self.texts[:-1] if self.distance else self.texts))


class EpisodeMaker:
    """Makes the episodes of every condition and sweep from benchmark samples."""

    def __init__(self, prompter: Prompter, samples: list[Sample], config: RecallConfig) -> None:
        self.prompter, self.samples, self.config = prompter, samples, config
        self._sessions = {s.sample_id: prompter.sessions(s) for s in samples}
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
            **dict.fromkeys(ALTERNATIVES, self._alternatives),
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
        return [Episode.about([s], self._sessions[s.sample_id]) for s in self.samples]

    def _with_distractor_in_context(self) -> list[Episode]:
        """The dialogue, and the distractor of a level that has one: A has what D has written."""
        return [self._then_distractor(s) for s in self.samples]

    def _nothing(self) -> list[Episode]:
        return [Episode.about([s], []) for s in self.samples]

    def _dialogue_then_distractor(self) -> list[Episode]:
        return [self._then_distractor(s) for s in self.samples if s.distractor]

    def _another_dialogue(self) -> list[Episode]:
        return [
            Episode.about([s], self._sessions[self._donor(place).sample_id])
            for place, s in enumerate(self.samples)
        ]

    def _scaled(self) -> list[Episode]:
        chosen = self._sweep_samples()
        return [
            Episode.about([s], self._sessions[s.sample_id], alpha)
            for alpha in self.config.scales
            for s in chosen
        ]

    def _distances(self) -> list[Episode]:
        chosen, distances = self._sweep_samples(), self.config.distances
        return [
            Episode.about([s], self._distant(s, n, max(distances)), n)
            for n in distances
            for s in chosen
        ]

    def _alternatives(self) -> list[Episode]:
        """The same dialogues and distractors as of `retention`, without a setting."""
        distances = self.config.alternative_distances
        chosen = self._sweep_samples(self.config.alternative_samples)
        return [
            Episode.about([s], self._distant(s, n, max(distances)), distance=n)
            for n in distances
            for s in chosen
        ]

    def _several_dialogues(self) -> list[Episode]:
        episodes = []
        for count in self.config.dialogues:
            for language in dict.fromkeys(s.language for s in self.samples):
                chosen = [s for s in self._sweep_samples() if s.language == language]
                # The dialogues of a group come from far apart, so that their skeletons differ.
                groups = len(chosen) // count
                for g in range(groups):
                    group = chosen[g : groups * count : groups]
                    texts = [ids for s in group for ids in self._sessions[s.sample_id]]
                    episodes.append(Episode.about(group, texts, count))
        return episodes

    def _then_distractor(self, sample: Sample) -> Episode:
        """The dialogue and, if the sample has one, its distractor."""
        texts = list(self._sessions[sample.sample_id])
        if sample.distractor:
            texts += self.prompter.texts([sample.distractor], [sample.language])
        return Episode.about([sample], texts)

    def _donor(self, place: int) -> Sample:
        """The next sample of the same language and level, cyclically, with another skeleton.

        Two samples of one skeleton may share values: both orders of a change, or two questions
        about one conversation from elsewhere.
        """
        own = self.samples[place]
        order = self.samples[place + 1 :] + self.samples[:place]
        for other in order:
            same = own.skeleton_id != SYNTHETIC and other.skeleton_id == own.skeleton_id
            if (other.language, other.level) == (own.language, own.level) and not same:
                return other
        raise UserError(
            f"sample {own.sample_id}: condition W needs two skeletons of its language and level"
        )

    def _sweep_samples(self, most: int | None = None) -> list[Sample]:
        """The samples of the sweeps, or the first `most` of them."""
        chosen = [s for s in self.samples if s.level == 1 and s.split == self.config.sweep_split]
        if not chosen:
            raise UserError(
                f"recall.sweep_split: no level-1 sample of split {self.config.sweep_split!r}"
            )
        return chosen[: most or self.config.sweep_samples]

    def _distant(self, sample: Sample, tokens: int, most: int) -> list[list[int]]:
        """The dialogue, then `tokens` tokens of distractor text that no training has seen.

        All distances up to `most` are beginnings of one text.
        """
        texts = list(self._sessions[sample.sample_id])
        if tokens:
            rng = random.Random(f"{self.config.seed}/{sample.sample_id}")
            # Ask for twice the length: the generator does not count this model's tokens.
            text = distractors.text(rng, sample.language, 2 * most, "heldout")
            ids = self.prompter.ids([text])[0]
            if len(ids) < tokens:
                raise UserError(f"recall.distances: {tokens} tokens asked, the text has {len(ids)}")
            texts.append(self.prompter.around(ids[:tokens], sample.language))
        return texts
