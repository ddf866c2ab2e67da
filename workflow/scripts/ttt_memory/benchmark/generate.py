"""Generate the samples of a benchmark."""

import random
from dataclasses import replace

from . import distractors
from .config import BenchmarkConfig
from .forms import NO_VARIANT, VARIANTS, Form, suits
from .generator.skeletons import Skeleton, skeletons
from .sample import NEW_SKELETONS, Sample

WITH_DISTRACTOR = 3  # the level that has distractors
PAIRED = 4  # the level whose samples come in pairs


def benchmark(config: BenchmarkConfig) -> list[Sample]:
    """All samples of `config`, ordered by level and number.

    Languages alternate within a level. Splits alternate in proportion to their shares, and forms
    and skeletons alternate within a split. A sample of level 3 is made like one of level 1 and gets
    a distractor of held-out text. Samples 2n and 2n + 1 of level 4 in a language are a pair: the
    second one has the same text, but the old and the new values are exchanged. A sample depends
    only on the seed and on its own level and number.
    """
    turns = -(-config.samples_per_level // len(config.languages))
    schedule = _schedule(config.splits, turns)
    return [
        _sample(config, level, number, schedule)
        for level in config.levels
        for number in range(config.samples_per_level)
    ]


def _sample(
    config: BenchmarkConfig, level: int, number: int, schedule: list[tuple[str, int]]
) -> Sample:
    turn, which = divmod(number, len(config.languages))
    language = config.languages[which]
    # The samples of a pair share their place in the schedule.
    place, second = divmod(turn, 2) if level == PAIRED else (turn, 0)
    split, before = schedule[place]
    form = _form(config, level, language, split, before)
    found, attempt = None, 0
    while found is None:
        seed = f"benchmark/{config.seed}/{level}/{language}/{place}/{attempt}"
        # Both of a pair are made of the same draws, and neither without the other.
        pair = [
            _attempt(form, split, level, random.Random(seed), exchanged)
            for exchanged in ((False, True) if level == PAIRED else (False,))
        ]
        found, attempt = None if None in pair else pair[second], attempt + 1
        if found is not None and level == WITH_DISTRACTOR:
            found = _with_distractor(found, config, random.Random(f"{seed}/distractor"))
    return replace(found, sample_id=f"L{level}-{language}-{turn:05d}")


def _attempt(
    form: tuple[str, Skeleton, list[Skeleton]],
    split: str,
    level: int,
    rng: random.Random,
    exchanged: bool,
) -> Sample | None:
    variant, skeleton, others = form
    return Form(skeleton, others, split, rng, exchanged).sample(level, variant)


def _with_distractor(sample: Sample, config: BenchmarkConfig, rng: random.Random) -> Sample | None:
    """The sample with a distractor, or None if this contains one of its values."""
    tokens = rng.randint(*config.distractor_tokens)
    passage = distractors.text(rng, sample.language, tokens, "heldout")
    if any(fact.value in passage for fact in sample.facts):
        return None
    return replace(sample, distractor=passage)


def _form(
    config: BenchmarkConfig, level: int, language: str, split: str, before: int
) -> tuple[str, Skeleton, list[Skeleton]]:
    """The form of the sample behind `before` others of its split, its skeleton, and the others."""
    variants = VARIANTS.get(level, NO_VARIANT)
    turn, which = divmod(before, len(variants))
    variant = variants[which]
    known = skeletons(language, split in NEW_SKELETONS)
    options = [skeleton for skeleton in known if suits(skeleton, variant)]
    # Each form goes through the skeletons in an order of its own.
    random.Random(f"order/{config.seed}/{level}/{split}/{which}").shuffle(options)
    skeleton = options[turn % len(options)]
    return variant, skeleton, [other for other in known if other is not skeleton]


def _schedule(shares: dict[str, float], turns: int) -> list[tuple[str, int]]:
    """For each turn (a sample of one level and language): its split, and that split's turns before.

    A turn goes to the split that is furthest below its share. So the shares hold for any number of
    samples.
    """
    total = sum(shares.values())
    given = dict.fromkeys(shares, 0)
    schedule = []
    for turn in range(1, turns + 1):
        split = max(given, key=lambda name: turn * shares[name] / total - given[name])
        schedule.append((split, given[split]))
        given[split] += 1
    return schedule
