"""The forms of the levels: what a sample of each level tells, and what it asks."""

import random
from collections.abc import Callable

from .generator.draft import Question
from .generator.filled import Filled
from .generator.grounding import content_words
from .generator.skeletons import Skeleton
from .generator.story import Story
from .sample import NEW_VALUES, NEW_WORDING, Sample

CHANGED = 2  # the most values that a sample of level 4 changes
ASKED = 5  # the most questions of a sample of level 6
# The forms of levels 4 to 6, in the order in which they take turns. At level 4 the number of other
# dialogues that are told between a dialogue and the session that changes its values.
SAME_DIALOGUE, NEXT_SESSION = "same dialogue", "next session"
BETWEEN = {f"{n} session{'s'[: n > 1]} between": n for n in (1, 2, 3, 4)}
_LATER = (NEXT_SESSION, *BETWEEN)
TWO_SPEAKERS, SAME_SKELETON = "two speakers", "same skeleton"
OF_ONE_SKELETON = {SAME_SKELETON: 2, "4 of one skeleton": 4}  # number of dialogues
NEAR_MISS, OTHER_TOPIC = "near miss", "other topic"
VARIANTS: dict[int, tuple[str, ...]] = {
    4: tuple(form for later in _LATER for form in (SAME_DIALOGUE, later)),
    5: (TWO_SPEAKERS, *OF_ONE_SKELETON),
    6: (NEAR_MISS, OTHER_TOPIC),
}
NO_VARIANT = ("",)


def suits(skeleton: Skeleton, variant: str) -> bool:
    """Whether a skeleton can have the form."""
    if variant == TWO_SPEAKERS:
        return skeleton.same_kind
    return skeleton.has_pair or variant not in OF_ONE_SKELETON


class Form:
    """One attempt to make a sample. `others` are the other skeletons that the split may use."""

    def __init__(
        self,
        skeleton: Skeleton,
        others: list[Skeleton],
        split: str,
        rng: random.Random,
        exchanged: bool = False,
    ):
        self.skeleton, self.others, self.split, self.rng = skeleton, others, split, rng
        self.exchanged = exchanged
        self.new = split in NEW_WORDING
        self.story = Story(skeleton.language, rng, heldout=split in NEW_VALUES, new=self.new)
        self.part = self.story.fill(skeleton)

    def sample(self, level: int, variant: str) -> Sample | None:
        """The sample, without an id, or None if one of its questions is ambiguous."""
        makers: dict[int, Callable[[str], list[Question]]] = {
            1: lambda _: self._direct(1),
            2: lambda _: self._direct(2),
            3: lambda _: self._direct(1),
            4: self._changed,
            5: self._of_whom,
            6: self._unanswered,
        }
        asked = makers[level](variant)
        if not asked:
            return None
        return self.story.sample(
            asked,
            grounded=True,
            sample_id="",
            level=level,
            split=self.split,
            skeleton_id=self.skeleton.skeleton_id,
            variant=variant,
        )

    def _direct(self, level: int) -> list[Question]:
        self.story.tell(self.part)
        return self.part.asked((level,), self.new)

    def _changed(self, variant: str) -> list[Question]:
        """Values are changed. `exchanged` gives the old value in place of the new one."""
        story, part = self.story, self.part
        changes = story.draw_changes(part, CHANGED)
        if self.exchanged:
            # Slots of the draft are those of the skeleton, since this dialogue is the first.
            old = {slot: part.values[slot] for slot, _ in changes}
            part.values |= dict(changes)
            changes = list(old.items())
        story.tell(part)
        others = self.rng.sample(self.others, BETWEEN.get(variant, 0))
        for number, other in enumerate(others, 2):
            story.tell(story.fill(other, f"{number}."))
        if variant == SAME_DIALOGUE:
            story.change_now(part, changes)
        else:
            story.change_later(part, changes)
        asked = story.updated(part.asked((1,), self.new))
        asked = [question for question in asked if question.rival is not None]
        return [] if any(_may_mean(ask, other) for ask in asked for other in others) else asked

    def _of_whom(self, variant: str) -> list[Question]:
        """Two speakers, or several dialogues, have facts of the same kind."""
        story, part = self.story, self.part
        if variant == TWO_SPEAKERS:
            story.tell(part)
            return part.asked_of_speakers(self.new)
        more = range(2, 1 + OF_ONE_SKELETON[variant])
        parts = [part, *(story.fill(self.skeleton, f"{number}.") for number in more)]
        for told in parts:
            story.tell(told)
        asked = (told.asked((1,), self.new) for told in parts)
        return [self._of_one(questions, parts) for questions in zip(*asked, strict=True)]

    def _of_one(self, questions: tuple[Question, ...], parts: list[Filled]) -> Question:
        """The question of one of several dialogues; of two, the other one has the rival."""
        chosen, other = self.rng.sample(range(len(parts)), 2)
        question = self.story.of_part(parts[chosen], questions[chosen])
        # Of more, any of several values would be another's, so none of them is counted by itself.
        question.rival = questions[other].slots[0] if len(parts) == 2 else None
        return question

    def _unanswered(self, variant: str) -> list[Question]:
        """Questions that nothing answers, on the matter of the dialogue or on another one."""
        self.story.tell(self.part)
        if variant == NEAR_MISS:
            found = self.part.missing(self.new)
        else:
            found = [
                self.rng.choice(questions)
                for other in self.rng.sample(self.others, len(self.others))
                if (questions := self.part.foreign(other, [self.skeleton], self.new))
            ]
        return found[:ASKED]


def _may_mean(question: Question, other: Skeleton) -> bool:
    """Whether the words of a question could be about another dialogue as well."""
    words = content_words(other.language, question.text)
    return bool(words) and words <= content_words(other.language, other.words)
