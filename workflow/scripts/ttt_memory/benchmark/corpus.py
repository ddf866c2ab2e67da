"""Training dialogues without end: training skeletons and synthetic ones, training values only."""

import random
from collections.abc import Iterator
from itertools import count as counter

from . import composer
from .sample import Sample
from .skeletons import skeletons

SYNTHETIC_SHARE = 0.7


def dialogues(
    language: str,
    seed: int,
    count: int | None = None,
    synthetic_share: float = SYNTHETIC_SHARE,
) -> Iterator[Sample]:
    """Yield `count` training samples (for ever if None), the same for the same arguments.

    Each has probes of levels 1 and 2 (kinds `bridge:*` and `pair:*`); groundings are "unknown".
    """
    rng = random.Random(f"corpus/{language}/{seed}")
    written = skeletons(language)
    fields = {"level": 1, "split": "train", "grounded": False}
    for i in counter() if count is None else range(count):
        fields["sample_id"] = f"train-{language}-{seed}-{i:06d}"
        if rng.random() < synthetic_share:
            yield composer.dialogue(language, rng, **fields)
        else:
            skeleton = written[int(rng.random() * len(written))]
            yield skeleton.fill(False, (1, 2), rng, **fields)
