"""Memories of texts read apart, put together: of rules without order as if read one by one.

By the Hebbian rule without decay dW is a sum over tokens. By least squares dW (1 + A) is one, and
so is A = sum of s k k^T. A delta rule's dW depends on what was there before each token, and so do
the keys themselves where a text is read with what it has written: no sums.
"""

from dataclasses import replace

import torch
from torch import Tensor

from .least_squares import cholesky
from .state import FastState, LayerState, full_precision, with_gram


def absorb(state: FastState, texts: FastState) -> FastState:
    """Every row of `state` joined by all rows of `texts`, in dense form `[B, d, ff]`.

    N rows that each read T tokens so give each of B memories N T tokens more, for the reading of
    N T instead of B N T. Both must be of the same rule without order, Hebbian without decay or
    least squares, and read without what they had written: nothing here can tell.

    Raises:
        ValueError: tokens of `texts` are pending; a part of them is not in its dW.
    """
    if texts.pending.any():
        raise ValueError("tokens are pending in what is to be absorbed: write it to its end")
    layers = {i: _absorb(layer, texts.layers[i]) for i, layer in state.layers.items()}
    return replace(state, layers=layers, written=state.written + texts.written.sum())


def _absorb(memory: LayerState, texts: LayerState) -> LayerState:
    memory, texts = memory.fold(), texts.fold()
    with full_precision(memory.dense):
        if not len(memory.gram) and not len(texts.gram):
            return replace(memory, dense=memory.dense + texts.dense.sum(0))
        memory, texts = with_gram(memory), with_gram(texts)
        total, gram = _sum(memory) + _sum(texts).sum(0), memory.gram + texts.gram.sum(0)
        return replace(memory, dense=torch.cholesky_solve(total.mT, cholesky(gram)).mT, gram=gram)


def _sum(memory: LayerState) -> Tensor:
    """Sum of s v k^T over all tokens of a dense memory, dW (1 + A), `[B, d, ff]`."""
    return memory.dense + memory.dense @ memory.gram
