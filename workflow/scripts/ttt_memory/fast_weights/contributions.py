"""Where a read comes from: how much of each written token a query gets.

    dW q = sum_i a_i(q) v_i + rest(q)     over the tokens i that a layer's state holds

    rule                    a_i(q)                                   v_i
    mesa                    c_i k_i^T (lambda + A + K^T C K)^-1 q    the token's value
    hebbian, delta, others  k_i^T q                                  u_i, what was written for k_i

This is exact: the names are those of `rules/mesa.py` and `rules/factors.py`, and c_i is the count
that the token's gate and rate make. The rest is what was folded into sums, of which no token can be
told apart any more. For people who look at an answer; no training and no score uses it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, singledispatch

import torch
from torch import Tensor, nn

from .injection import FastWeights
from .rules import least_squares
from .rules.mesa import MesaState
from .rules.states import RuleState
from .state import FastState


@dataclass(frozen=True, eq=False)
class Parts:
    """What T queries read from one layer, token by token."""

    weights: Tensor  # [B, T, S], a
    values: Tensor  # [B, S, d], v
    rest: Tensor  # [B, T, d]

    @property
    def read(self) -> Tensor:
        """The sum of all parts, `[B, T, d]`: dW q."""
        return self.weights @ self.values + self.rest

    def products(self) -> Tensor:
        """What each token adds to the squared length of what is read, `[B, S]`.

        a_i v_i . dW q, added up over the queries. With that of the rest they make up |dW q|^2.
        """
        return (self.weights * (self.read @ self.values.mT)).sum(1)


@singledispatch
def parts(state: RuleState, queries: Tensor) -> Parts:
    """The parts of what `queries` `[B, T, ff]` read from one layer's state, in float64."""
    read, queries = state.readable().map(Tensor.double), queries.double()
    weights = queries @ read.keys.mT
    rest = queries.new_zeros(*queries.shape[:2], read.sizes[0])
    return Parts(weights, read.values, rest if read.dense is None else queries @ read.dense.mT)


@parts.register
def _(state: MesaState, queries: Tensor) -> Parts:
    """By least squares; all is divided by lambda, so that the ridge is 1."""
    state, queries = state.map(Tensor.double), queries.double()
    inverse = 1.0 if state.aged is None else state.aged.exp()  # [B, 1], 1 / lambda
    keys, counts = state.keys, state.counts * inverse
    if not state.folded:
        weights = least_squares.Factors.apply(keys @ keys.mT, counts, keys @ queries.mT).mT
        return Parts(weights, state.values, queries.new_zeros(*queries.shape[:2], state.sizes[0]))
    products, gram = (
        t if state.aged is None else t * inverse[..., None] for t in (state.products, state.gram)
    )
    system = gram + keys.mT @ (counts[..., None] * keys)
    solved = least_squares.Solution.apply(queries, system)  # [B, T, ff]
    return Parts(solved @ keys.mT * counts[:, None], state.values, solved @ products.mT)


@torch.no_grad()
def shares(state: FastState, queries: dict[int, Tensor]) -> dict[int, Tensor]:
    """How much of all that was read each token of each layer gave, `[S]`, for a state of one row.

    Args:
        state: what was read.
        queries: by layer, `[1, T, ff]`.

    Returns:
        Shares of the sum of |dW q|^2 over queries and layers, in the order of writing. With what
        was folded they add up to 1; a token that draws away from what was read has one below 0.
    """
    found = {i: parts(state.layers[i].written, asked) for i, asked in queries.items()}
    whole = sum(part.read.square().sum() for part in found.values())
    return {i: part.products()[0] / whole.clamp_min(1e-300) for i, part in found.items()}


@contextmanager
def last_queries(fw: FastWeights) -> Iterator[dict[int, list[Tensor]]]:
    """Keep z of the last position, `[B, 1, ff]`, of each call of the model, by layer.

    It is the query that the next token is chosen by.
    """
    kept: dict[int, list[Tensor]] = {layer: [] for layer in fw.down_projs}

    def keep(layer: int, module: nn.Module, args: tuple) -> None:
        kept[layer].append(args[0][:, -1:].detach())

    handles = [
        down.register_forward_pre_hook(partial(keep, layer))
        for layer, down in fw.down_projs.items()
    ]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()
