"""Generate the samples of a benchmark."""

import random
from dataclasses import replace

from . import distractors
from .config import BenchmarkConfig
from .generator.skeletons import skeletons
from .sample import Sample


def benchmark(config: BenchmarkConfig) -> list[Sample]:
    """All samples of `config`, ordered by level and number.

    Languages alternate within a level. Splits alternate in proportion to their shares, and
    skeletons alternate within a split. A sample of level 3 is made like one of level 1 and gets a
    distractor of held-out text. A sample depends only on the seed and on its own level and number.
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
    split, count = schedule[turn]
    rng = random.Random(f"benchmark/{config.seed}/{level}/{language}/{turn}")
    options = skeletons(language, split in ("heldout_skeletons", "heldout_both"))
    order = list(range(len(options)))
    random.Random(f"order/{config.seed}/{level}/{split}").shuffle(order)
    skeleton = options[order[count % len(options)]]
    heldout = split in ("heldout_values", "heldout_both")
    fields = {
        "sample_id": f"L{level}-{language}-{turn:05d}",
        "level": level,
        "split": split,
        "grounded": True,
    }
    while True:
        sample = skeleton.fill(heldout, (2,) if level == 2 else (1,), rng, **fields)
        if level < 3:
            return sample
        tokens = rng.randint(*config.distractor_tokens)
        passage = distractors.text(rng, language, tokens, "heldout")
        if not any(fact.value in passage for fact in sample.facts):
            return replace(sample, distractor=passage)


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
