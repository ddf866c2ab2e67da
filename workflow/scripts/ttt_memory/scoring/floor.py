"""What guessing gets: always the most frequent gold answer of the question's kind.

Two estimates, both of a guesser who knows the language and the kind of each question:

`em_floor_others`: the guess for a probe is the most frequent gold among the other dialogues'
probes of its kind; among equally frequent ones it picks at random, and the chance is counted.
The fair estimate: the guesser has not seen the answer.

`em_floor`: the guess is the most frequent gold among all probes of the kind, the probe itself
included. An upper bound: where all golds differ it still gets one question right per kind and
language, by having looked.
"""

from collections import Counter, defaultdict

import numpy as np
import pandas as pd

from .normalise import normalise


def guesses(probes: pd.DataFrame) -> pd.DataFrame:
    """Chance of each probe to be guessed right: columns `em_floor` and `em_floor_others`.

    `probes` has the columns sample_id, language, kind and gold, one row per probe; the
    result has its index.
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
    """Fill the rows of `chances` [probes, 2] for the (row, sample, gold) of one kind."""
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
    """All entries of the highest count; none of an empty counter."""
    most = max(counts.values(), default=0)
    return {gold for gold, count in counts.items() if count == most}
