"""B_bytes: fast weights whose state is compacted to a budget of bytes."""

import time
from collections.abc import Iterator
from functools import partial

from ....vocabulary import WHOLE
from ..episodes import Episode
from ..kept import Engine, Kept


def compacted_states(engine: Engine, batch: list[Episode]) -> Iterator[Kept]:
    """At every budget, and whole."""
    started = time.perf_counter()
    whole = engine.write(batch)
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
