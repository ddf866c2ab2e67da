"""Other ways to keep a dialogue than fast weights, one file for each.

A method is a function of an `Engine` and a batch of episodes. It yields what it keeps of their
texts at each of its settings, as `Kept`. Its words are an entry of `vocabulary.ALTERNATIVES`.
"""

from collections.abc import Callable, Iterator

from ..episodes import Episode
from ..kept import Engine, Kept
from .compacted import compacted_states
from .kv_cache import by_attention, by_gate
from .quantised import by_bits
from .retrieval import best_turns
from .trained_adapter import trained

METHODS: dict[str, Callable[[Engine, list[Episode]], Iterator[Kept]]] = {
    "B_bytes": compacted_states,
    "K": by_attention,
    "K_gate": by_gate,
    "Q": by_bits,
    "R": best_turns,
    "L": trained,
}
