"""Memories of texts read apart, put together: of rules without order as if read one by one.

By the Hebbian rule dW is a sum over tokens. By least squares dW (1 + A) is one, and so is
A = sum of s k k^T. A delta rule's dW depends on what was there before each token: no sum.
"""

from dataclasses import replace

import torch
from torch import Tensor

from .least_squares import cholesky
from .state import FastState, LayerState, full_precision


def absorb(state: FastState, texts: FastState) -> FastState:
    """Every row of `state` with all rows of `texts` written on top, in dense form.

    Both were written by the same order-free rule: Hebbian without decay, or least squares. So N
    rows that each read T tokens give each of B memories N T tokens more, for the reading of N T
    instead of B N T.

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
        total = _sum(memory) + _sum(texts).sum(0)
        if not len(memory.gram) and not len(texts.gram):
            return replace(memory, dense=total)
        gram = _gram(memory) + _gram(texts).sum(0)
        return replace(memory, dense=torch.cholesky_solve(total.mT, cholesky(gram)).mT, gram=gram)


def _sum(memory: LayerState) -> Tensor:
    """Sum of s v k^T over all tokens of a dense memory, dW (1 + A), `[B, d, ff]`."""
    return memory.dense + memory.dense @ memory.gram if len(memory.gram) else memory.dense


def _gram(memory: LayerState) -> Tensor:
    """Sum of s k k^T, A, `[B, ff, ff]`, or zero."""
    return memory.gram if len(memory.gram) else memory.dense.new_zeros(())
