"""The EM of guessing: always answer with the most frequent gold answer of the question's kind.

There are two estimates. Both are of a guesser who knows the language and kind of each question.

`em_floor_others` is the fair estimate, since the guesser has not seen the answer: the guess for a
probe is the most frequent gold answer among the probes of its kind in all other dialogues. Of
equally frequent answers the guesser picks one at random; a probe scores its chance of being right.

`em_floor` is an upper bound: the guess is the most frequent gold answer among all probes of the
kind, the asked probe included. Even where all gold answers differ, such a guesser gets one
question right for each kind and language.
"""

from collections import Counter, defaultdict

import numpy as np
import pandas as pd

from .string_metrics import normalise


def guesses(probes: pd.DataFrame) -> pd.DataFrame:
    """The chance of guessing each probe right: columns `em_floor` and `em_floor_others`.

    `probes` has one row per probe and the columns sample_id, language, kind and gold. The result
    has the same index.
    """
    keys = zip(probes["language"], probes["kind"], strict=True)
    golds = probes["gold"].map(normalise)
    kinds: dict[tuple, list[tuple[int, str, str]]] = defaultdict(list)
    for row, (key, sample, gold) in enumerate(zip(keys, probes["sample_id"], golds, strict=True)):
        kinds[key].append((row, sample, gold))
    chances = np.zeros((len(probes), 2))
    for members in kinds.values():
        _within_kind(members, chances)
    return pd.DataFrame(chances, index=probes.index, columns=["em_floor", "em_floor_others"])


def _within_kind(members: list[tuple[int, str, str]], chances: np.ndarray) -> None:
    """Fill the rows of `chances` [probes, 2] for the `members` (row, sample, gold) of one kind."""
    everywhere = Counter(gold for _, _, gold in members)
    favourite = min(everywhere, key=lambda gold: (-everywhere[gold], gold))
    own: dict[str, Counter] = defaultdict(Counter)
    for _, sample, gold in members:
        own[sample][gold] += 1
    favourites_elsewhere = {
        sample: _most_frequent(everywhere - counts) for sample, counts in own.items()
    }
    for row, sample, gold in members:
        tied = favourites_elsewhere[sample]
        chances[row] = gold == favourite, (gold in tied) / max(len(tied), 1)


def _most_frequent(counts: Counter) -> set[str]:
    """All entries that share the highest count; an empty set for an empty counter."""
    most = max(counts.values(), default=0)
    return {gold for gold, count in counts.items() if count == most}
