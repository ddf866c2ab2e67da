"""B_bytes: fast weights whose state is compacted to a budget of bytes."""

import time
from collections.abc import Iterator
from functools import partial

from ....vocabulary import WHOLE
from ..episodes import Episode
from ..kept import Engine, Kept
from ..write_dialogues import write_texts


def compacted_states(engine: Engine, batch: list[Episode]) -> Iterator[Kept]:
    """At every budget, and whole."""
    started = time.perf_counter()
    texts = [episode.texts for episode in batch]
    state = write_texts(engine.fw, engine.prompter, texts, engine.config.segment_tokens).readable()
    # In the smaller form of each row's own, whatever rows it was written beside.
    whole = [state.index([b]).fold() for b in range(len(batch))]
    common = time.perf_counter() - started
    for budget in (*engine.config.budgets, WHOLE):
        started = time.perf_counter()
        rows = whole
        if budget != WHOLE:
            sizes = [engine.decoder.cache_bytes(episode.dialogue_tokens) for episode in batch]
            budgets = [int(budget * size) for size in sizes]
            rows = [row.compact(most) for row, most in zip(whole, budgets, strict=True)]
        costs = [engine.written(*pair) for pair in zip(batch, rows, strict=True)]
        answer = partial(engine.answer, state=rows[0].concat(rows[1:]))
        yield Kept(answer, costs, common + time.perf_counter() - started, budget)
