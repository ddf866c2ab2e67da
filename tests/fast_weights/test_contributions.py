"""What each written token gives to what is read: against a loop, and all of it is what is read."""

import pytest
import torch
from torch.nn import functional as F

from fast_weights_models import FF, D, memory, tiny, tokens
from ttt_memory.fast_weights.contributions import last_queries, parts, shares
from ttt_memory.fast_weights.rules.mesa import MesaState

OPTIONS = [
    {"update": "mesa", "gate": "top"},
    {"update": "mesa", "gate": "layer", "recency": 0.3},
    {"update": "mesa", "recency": 0.02},  # reaches the least ridge
    {"update": "hebbian", "decay": 0.8},
    {"update": "delta", "gate": "top"},
]


@pytest.fixture(params=OPTIONS, ids=str)
def fw(request):
    return memory(**request.param)


def written(fw, lengths=(5, 4), fold_after=None):
    """The state after texts of these lengths; the first `fold_after` of them are summed up.

    More than FF tokens would be summed up anyway.
    """
    state = None
    with torch.no_grad():
        for number, length in enumerate(lengths):
            state = fw.write(tokens(1, length, seed=number), state=state).state
            if number + 1 == fold_after:
                state = state.fold(always=True)
    return state


def by_definition(state: MesaState, query: torch.Tensor) -> torch.Tensor:
    """a_i(q) = c_i k_i^T (lambda + A + K^T C K)^-1 q, one token at a time, `[S]`."""
    keys, counts = state.keys[0], state.counts[0]
    ridge = 1.0 if state.aged is None else torch.exp(-state.aged[0, 0])
    system = ridge * torch.eye(keys.shape[1], dtype=keys.dtype)
    if state.folded:
        system = system + state.gram[0]
    for key, count in zip(keys, counts, strict=True):
        system = system + count * torch.outer(key, key)
    solved = system.inverse() @ query
    weights = [count * key @ solved for key, count in zip(keys, counts, strict=True)]
    return torch.stack(weights) if weights else query[:0]


@pytest.mark.parametrize("fold_after", [None, 1, 2])
@pytest.mark.parametrize("recency", [1.0, 0.3])
def test_least_squares_gives_each_token_what_the_definition_says(recency, fold_after):
    fw = memory(update="mesa", gate="top", recency=recency)
    state, queries = written(fw, fold_after=fold_after), torch.randn(1, 4, FF, dtype=torch.float64)
    for layer in state.layers.values():
        found = parts(layer.written, queries)
        for query, weights in zip(queries[0], found.weights[0], strict=True):
            expected = by_definition(layer.written, query)
            torch.testing.assert_close(weights, expected, rtol=1e-9, atol=1e-9)
        assert found.weights.shape[2] == layer.written.token_count
        assert (found.weights.shape[2] == 0) == (fold_after == 2)


@pytest.mark.parametrize("fold_after", [None, 1, 2])
def test_all_parts_together_are_what_is_read(fw, fold_after):
    """By every rule, also beside sums; the naive sum is taken token by token."""
    state, queries = written(fw, fold_after=fold_after), torch.randn(1, 4, FF, dtype=torch.float64)
    for layer in state.layers.values():
        found = parts(layer.written, queries)
        total = found.rest.clone()
        for token in range(found.values.shape[1]):
            total += found.weights[..., token, None] * found.values[:, token]
        torch.testing.assert_close(total, layer.written.read(queries), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(found.read, total, rtol=1e-12, atol=1e-12)
        if fold_after is None:
            assert not found.rest.any()


def test_an_isolated_key_gives_its_query_everything():
    keys = F.normalize(torch.eye(3, FF, dtype=torch.float64), dim=-1)[None]
    values = torch.randn(1, 3, D, dtype=torch.float64)
    state = MesaState(keys, values, torch.full((1, 3), 99.0, dtype=torch.float64))
    found = parts(state, keys)
    torch.testing.assert_close(found.weights[0], 0.99 * torch.eye(3, dtype=torch.float64))


def test_shares_of_the_queries_that_chose_an_answer():
    """The queries are those of the model's own calls, and all shares add up to one."""
    fw = memory(update="mesa", gate="top")
    state, ids = written(fw), tokens(1, 5, seed=7)
    with torch.no_grad(), last_queries(fw) as kept:
        fw.read(state, input_ids=ids)
    with torch.no_grad():
        fw.read(state, input_ids=ids)  # not recorded any more
    queries = {layer: torch.cat(z, 1) for layer, z in kept.items()}
    assert {layer: z.shape for layer, z in queries.items()} == dict.fromkeys((0, 2), (1, 1, FF))
    found = shares(state, queries)
    assert sum(float(share.sum()) for share in found.values()) == pytest.approx(1, abs=1e-9)
    read = {i: state.layers[i].written.read(z)[0, 0] for i, z in queries.items()}
    whole = sum(float(r @ r) for r in read.values())
    for i, layer in state.layers.items():
        weights = by_definition(layer.written, queries[i][0, 0])
        values = layer.written.values[0]
        for token in range(len(values)):
            expected = float(weights[token] * values[token] @ read[i]) / whole
            assert float(found[i][token]) == pytest.approx(expected, abs=1e-9)


def test_in_float32_the_parts_are_what_is_read_within_rounding():
    fw = memory(tiny(dtype=torch.float32), update="mesa", gate="top", recency=0.5, lr=3.0)
    state = written(fw)
    queries = torch.randn(1, 4, FF)
    for layer in state.layers.values():
        read = layer.written.read(queries).double()
        found = parts(layer.written, queries).read
        assert float((found - read).norm() / read.norm()) < 1e-5


def test_nothing_read_has_no_shares():
    fw = memory(update="mesa")
    queries = {i: torch.randn(1, 1, FF, dtype=torch.float64) for i in (0, 2)}
    assert all(len(found) == 0 for found in shares(fw.empty_state(1), queries).values())
