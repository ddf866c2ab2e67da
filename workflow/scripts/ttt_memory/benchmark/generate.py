"""Generate the benchmark: every level, language and split, the same samples for the same config."""

import random
from dataclasses import replace

from . import distractors
from .config import BenchmarkConfig
from .sample import Sample
from .skeletons import skeletons


def benchmark(config: BenchmarkConfig) -> list[Sample]:
    """All samples of `config`, ordered by level and number.

    Sample i of a level is in language i modulo their number; splits take turns in proportion to
    their shares, and skeletons take turns within a split. Level 3 is a fresh level-1 sample with
    a distractor of held-out text. A sample depends on the seed and its own place alone.
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
    part = split in ("heldout_values", "heldout_both")
    fields = {
        "sample_id": f"L{level}-{language}-{turn:05d}",
        "level": level,
        "split": split,
        "grounded": True,
    }
    while True:
        sample = skeleton.fill(part, (2,) if level == 2 else (1,), rng, **fields)
        if level < 3:
            return sample
        tokens = rng.randint(*config.distractor_tokens)
        passage = distractors.text(rng, language, tokens, "heldout")
        if not any(fact.value in passage for fact in sample.facts):
            return replace(sample, distractor=passage)


def _schedule(shares: dict[str, float], turns: int) -> list[tuple[str, int]]:
    """The split of each turn of a level and language, and how many turns it had before.

    A turn goes to the split that lags most behind its share, so that any number of samples is
    divided as the shares say.
    """
    total = sum(shares.values())
    given = dict.fromkeys(shares, 0)
    schedule = []
    for turn in range(1, turns + 1):
        split = max(given, key=lambda name: turn * shares[name] / total - given[name])
        schedule.append((split, given[split]))
        given[split] += 1
    return schedule
