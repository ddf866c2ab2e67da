"""Training samples: dialogues alone, with changed values, or two of the same kind."""

import random
from dataclasses import replace

from ..sample import SYNTHETIC, Sample
from .composer import FACTS, Composed, planned
from .draft import Question
from .filled import Filled
from .frames import FRAMED, around
from .grammar import pick
from .plan import Plan
from .skeletons import Skeleton, skeletons
from .story import Story

# Shares of the kinds of samples.
SHARES = {
    "alone": 0.55,
    "changed": 0.15,  # a value is changed at the end of the dialogue
    "changed later": 0.12,  # ... in a second session
    "two": 0.13,  # two dialogues with facts of the same kinds, by different people
    "three": 0.05,  # ... changed twice, or behind another dialogue
}
MOST_UNANSWERED = 2
Part = Filled | Composed
_FEW = (5, 6)  # facts of each of two dialogues
_WHOSE = 0.3  # share of questions that name the speakers though there is no need


def training_sample(
    language: str, synthetic: bool, unanswered: float, rng: random.Random, **fields
) -> Sample:
    """A sample to train on. None of its values is held out, and no wording is.

    `unanswered` is the chance that a dialogue has questions that nothing answers. `fields` are its
    sample_id, level and split, and `grounded` as in `draft.build`.
    """
    kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
    while True:
        sample = _Lesson(language, synthetic, unanswered, rng).sample(kind, **fields)
        if sample is not None:
            return sample


class _Lesson:
    """One attempt to make a training sample."""

    def __init__(self, language: str, synthetic: bool, unanswered: float, rng: random.Random):
        self.story = Story(language, rng)
        self.language, self.synthetic, self.rng = language, synthetic, rng
        self.unanswered = unanswered
        self.told: list[Skeleton] = []

    def sample(self, kind: str, **fields) -> Sample | None:
        first = self._first(kind)
        self.skeleton_id = SYNTHETIC if self.synthetic else first.skeleton.skeleton_id
        asked = self._two(first) if kind == "two" else self._one(first, kind)
        return self.story.sample(asked, skeleton_id=self.skeleton_id, **fields)

    def _first(self, kind: str) -> Part:
        """A dialogue. One of two has few facts, and at least two speakers whose names are drawn."""
        if not self.synthetic:
            return self._skeleton(pair=kind == "two")
        plan = Plan(self.language, self.rng, self.story.taken)
        return Composed(planned(plan, _FEW if kind == "two" else FACTS))

    def _stranger(self, first: Part) -> Part:
        """A dialogue that answers no question about the first one."""
        if isinstance(first, Filled):
            return self._skeleton(prefix="2.")
        plan = Plan(self.language, self.rng, self.story.taken, "2.", beside=first.plan)
        return Composed(planned(plan, FACTS))

    def _skeleton(self, prefix: str = "", pair: bool = False) -> Filled:
        """A skeleton that was not told yet, with values."""
        known = [s for s in skeletons(self.language) if s.has_pair or not pair]
        options = [s for s in known if s not in self.told]
        self.told.append(pick(options, self.rng))
        return self.story.fill(self.told[-1], prefix)

    def _one(self, part: Part, kind: str) -> list[Question]:
        """Tell one dialogue and change some of its values, as `kind` says."""
        story, rng = self.story, self.rng
        story.tell(part)
        changes = story.draw_changes(part, 1 + (rng.random() < 0.4)) if kind != "alone" else []
        between = False
        if not changes:
            pass  # nothing to change
        elif kind == "changed":
            story.change_now(part, changes)
        elif kind == "changed later":
            story.change_later(part, changes)
        elif between := rng.random() < 0.5:
            story.tell(self._stranger(part))
            story.change_later(part, changes)
        else:
            slot = changes[0][0]
            again = (slot, story.value(story.types[slot]))
            story.change_later(part, changes[:1])
            story.change_later(part, changes[1:] or [again])
        asked = story.updated(part.asked() + self._unanswered(part))
        return [
            story.of_part(part, question)
            if between and rng.random() < _WHOSE
            else self._varied(question)
            for question in asked
        ]

    def _two(self, first: Part) -> list[Question]:
        """Tell two dialogues of the same kind. The questions name the speakers of the one meant."""
        story, rng = self.story, self.rng
        if self.synthetic:
            second: Part = Composed(first.plan.twin("2."))
            for part in (first, second):
                for _ in range(rng.randint(0, 2)):
                    part.plan.add_fact()
        else:
            second = story.fill(first.skeleton, "2.")
        parts = [first, second]
        rng.shuffle(parts)
        for part in parts:
            story.tell(part)
        asked = []
        for part, other in zip(parts, reversed(parts), strict=True):
            questions = part.asked() + self._unanswered(part, other)
            asked += [story.of_part(part, question) for question in questions]
        return asked

    def _varied(self, question: Question) -> Question:
        """The question, perhaps in a frame, so that it varies."""
        if self.rng.random() >= FRAMED:
            return question
        return replace(question, text=around(question, self.language, self.rng))

    def _unanswered(self, part: Part, other: Part | None = None) -> list[Question]:
        """Up to two questions that nothing answers; `other` is a dialogue of the same kind."""
        if self.rng.random() >= self.unanswered:
            return []
        found = self._near(part, other)
        if isinstance(part, Filled):
            others = [s for s in skeletons(self.language) if s not in self.told]
            found += part.foreign(pick(others, self.rng), self.told)
        self.rng.shuffle(found)
        return found[: self.rng.randint(1, MOST_UNANSWERED)]

    def _near(self, part: Part, other: Part | None) -> list[Question]:
        if isinstance(part, Filled):
            return part.missing()
        found = [ask for _ in range(MOST_UNANSWERED) for ask in part.missing()]
        if other is not None:
            # What the other dialogue tells is not told here.
            extra = [fact for fact in other.plan.facts if part.plan.lacks(fact)]
            found += [part.unanswered(fact) for fact in extra if fact.speaker is None]
        return found
