"""Memories of texts read apart, put together: of rules without order as if read one by one.

By the Hebbian rule without decay, and by least squares, what is kept is a sum over tokens. A delta
rule's values depend on what was there before each token, and so do the keys themselves where a text
is read with what it has written: no sums.
"""

from dataclasses import replace

from .layer_state import LayerState, require_alike
from .state import FastState


def absorb(state: FastState, texts: FastState) -> FastState:
    """Every row of `state` joined by all rows of `texts`, in dense form `[B, d, ff]`.

    N rows that each read T tokens so give each of B memories N T tokens more, for the reading of
    N T instead of B N T. Both must be of the same rule without order, Hebbian without decay or
    least squares, and read without what they had written: nothing here can tell.

    Raises:
        ValueError: tokens of `texts` are pending, which are not in what it sums up; or one of both
            was solved.
    """
    if texts.pending.any():
        raise ValueError("tokens are pending in what is to be absorbed: write it to its end")
    layers = {i: _absorb(layer, texts.layers[i]) for i, layer in state.layers.items()}
    return replace(state, layers=layers, written=state.written + texts.written.sum())


def _absorb(memory: LayerState, texts: LayerState) -> LayerState:
    require_alike([memory, texts])
    memory, texts = memory.fold(), _together(texts).fold()
    grown = replace(memory, dense=memory.dense + texts.dense)
    if not memory.weighed and not texts.weighed:
        return grown
    return replace(grown, gram=memory.with_gram().gram + texts.with_gram().gram)


def _together(texts: LayerState) -> LayerState:
    """One row with the tokens of all."""
    tokens = {n: getattr(texts, n).flatten(0, 1)[None] for n in ("keys", "values", "counts")}
    sums = {n: getattr(texts, n) for n in ("dense", "gram")}
    sums = {n: t.sum(0, keepdim=True) if len(t) else t for n, t in sums.items()}
    return replace(texts, **tokens, **sums)
