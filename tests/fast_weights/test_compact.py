"""Compact states: the least error within a budget of bytes, rows apart, files and refusals."""

from itertools import pairwise

import pytest
import torch

from fast_weights_models import FF, D, apart, dense, memory, tokens
from ttt_memory.errors import UserError
from ttt_memory.fast_weights import FastState, load_state, save_state
from ttt_memory.fast_weights.compact import CompactState

COUNTERS = 8 + 8 + 1  # bytes of a row: tokens pending and written, whether its text goes on
LAYERS = 2
LIMITS = [17, 60, 100, 150, 220, 400, 700, 1500]
# Rank 4 and less, and folded: of rank 8, the whole of d.
LENGTHS = {"factors": [5, 2, 4], "dense": [31, 31, 2]}
UPDATES = ["hebbian", "delta", "mesa"]
each_form = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS.keys())
each_update = pytest.mark.parametrize("update", UPDATES)


@torch.no_grad()
def written(lengths: list[int], update: str = "mesa") -> FastState:
    """Rows of texts of these lengths."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return memory(update=update, gate="layer").write(tokens(3, max(lengths)), mask).state


def rounded(matrix: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The oracle of rounding: int8 on a grid of 127 steps to the largest number of a line."""
    if dtype != torch.int8:
        return matrix.to(dtype).double()
    step = matrix.abs().amax(1, keepdim=True) / 127
    return torch.where(step > 0, (matrix / step).round() * step, 0)


def least_error(dw: torch.Tensor, limit: int) -> float:
    """||dW - what is kept||: the least of all ranks and types that fit in `limit` bytes."""
    left, values, right = torch.linalg.svd(dw, full_matrices=False)
    errors = []
    for dtype, size, scale in ((torch.int8, 1, 4), (torch.bfloat16, 2, 0), (torch.float32, 4, 0)):
        rank = min(limit // (size * (D + FF) + 2 * scale), D)
        root = values[:rank].sqrt()
        low = rounded((left[:, :rank] * root).T, dtype).T @ rounded(
            right[:rank] * root[:, None], dtype
        )
        errors.append((dw - low).norm().item())
        if D * (FF * size + scale) <= limit:
            errors.append((dw - rounded(dw, dtype)).norm().item())
    return min(errors)


@each_form
@each_update
def test_the_least_error_in_the_bytes_allowed(lengths, update):
    """Against each rank and type tried on the dense dW; more bytes are never worse."""
    state = written(lengths, update)
    errors = []
    for limit in LIMITS:
        small = state.compact(limit)
        assert max(small.row_bytes) <= limit
        assert small.nbytes == sum(small.row_bytes)
        errors.append([])
        for layer, dw in dense(state).items():
            kept = dense(small)[layer].double()
            for row in range(3):
                error = (dw[row] - kept[row]).norm().item()
                least = least_error(dw[row], (limit - COUNTERS) // LAYERS)
                assert error == pytest.approx(least, rel=1e-3, abs=1e-6)
                errors[-1].append(error)
    for more, less in pairwise(reversed(errors)):
        assert all(a <= b + 1e-9 for a, b in zip(more, less, strict=True))
    norms = [norm.item() for layer in state.norms().values() for norm in layer]
    assert errors[0] == pytest.approx(norms)
    assert max(errors[-1]) < 1e-6 * max(norms)


@each_form
def test_bytes_are_those_of_the_tensors(lengths):
    """Every number kept is counted once, and nothing else."""
    for limit in LIMITS:
        small = written(lengths).compact(limit)
        held = 0
        for layer in small.layers.values():
            for t in layer.written.tensors().values():
                held += t.numel() * {torch.int8: 1, torch.bfloat16: 2, torch.float32: 4}[t.dtype]
        assert small.nbytes == held + 3 * COUNTERS


@each_form
def test_rows_are_made_compact_each_by_itself(lengths):
    """Alone, in a batch, put together or taken out: the same tensors."""
    state = written(lengths)
    for limit in LIMITS:
        small = state.compact(limit)
        alone = [state.index([row]).compact(limit) for row in range(3)]
        joined = alone[0].concat(alone[1:])
        for layer in state.layers:
            found, expected = (s.layers[layer].written.tensors() for s in (joined, small))
            assert found.keys() == expected.keys()
            assert all(t.equal(expected[name]) for name, t in found.items())
        assert apart(small.index([2, 0]), joined.index(torch.tensor([2, 0]))) == 0


@each_update
def test_a_compact_state_is_read(update):
    """With room enough as the whole state; in fewer bytes nearly so; and empty it is the base."""
    fw, probe = memory(update=update, gate="layer"), tokens(3, 6, seed=1)
    state = written(LENGTHS["factors"], update)

    def logits(read: FastState) -> torch.Tensor:
        return fw.read(read, input_ids=probe).logits

    whole, plain = logits(state), fw.plain(input_ids=probe).logits
    assert (whole - plain).abs().max() > 1e-3
    torch.testing.assert_close(logits(state.compact(1500)), whole, rtol=1e-4, atol=1e-4)
    near = (logits(state.compact(300)) - whole).norm() / (whole - plain).norm()
    assert near < 0.05
    assert logits(state.compact(COUNTERS)).equal(plain)
    assert logits(state.compact(220).reset([0, 1, 2])).equal(plain)
    assert logits(fw.empty_state(3).compact(500)).equal(plain)


@each_form
def test_saved_within_a_limit_and_loaded(lengths, tmp_path):
    """The same tensors, types included, in a file that is a little larger than they are."""
    fw, path = memory(update="mesa", gate="layer"), tmp_path / "state"
    state = written(lengths)
    for limit in (60, 220, 700):
        save_state(fw, state, path, limit)
        loaded, expected = load_state(fw, path), state.compact(limit)
        assert loaded.row_bytes == expected.row_bytes
        for layer in state.layers:
            found, wanted = (s.layers[layer].written.tensors() for s in (loaded, expected))
            assert found.keys() == wanted.keys()
            assert all(t.equal(wanted[n]) and t.dtype == wanted[n].dtype for n, t in found.items())
        assert 0 < path.stat().st_size - loaded.nbytes < 4000


def test_what_cannot_be_done():
    """To write on, to merge, to compact a text that goes on, or in less than the counters take."""
    fw, ids = memory(update="mesa", gate="layer"), tokens(3, 5)
    state = written(LENGTHS["factors"])
    small = state.compact(220)
    with pytest.raises(UserError, match="CompactState: it can only be read"):
        fw.write(ids, state=small)
    assert fw.flush(small).row_bytes == small.row_bytes  # nothing is pending
    with pytest.raises(ValueError, match="expected states of one rule"):
        state.merge(small)
    with pytest.raises(ValueError, match="expected states of one rule"):
        state.concat(small)
    with pytest.raises(ValueError, match="do not add up"):
        small.merge(small)
    with pytest.raises(UserError, match="end the text"):
        fw.write(ids, flush=False).state.compact(220)
    with pytest.raises(UserError, match="16 bytes a row; expected at least 17"):
        state.compact(16)


def test_a_compact_state_is_moved_and_scaled():
    """`to` casts only what is read; scaled or as noise it is an ordinary readable state."""
    small = written(LENGTHS["factors"]).compact(220)
    moved = small.to(torch.float16)
    assert moved.row_bytes == small.row_bytes
    assert dense(moved)[0].dtype == torch.float16
    assert apart(moved.to(torch.float64).detach().fold(always=True), small) == 0
    for layer, dw in dense(small.scale(0.5)).items():
        torch.testing.assert_close(dw, 0.5 * dense(small)[layer])
    noise = small.noise_like(torch.Generator().manual_seed(0))
    for layer, norm in noise.norms().items():
        torch.testing.assert_close(norm, small.norms()[layer])
    assert isinstance(small.layers[0].written, CompactState)


@each_update
def test_tokens_with_a_closed_gate_are_not_kept(update):
    """Unless a gradient may open it; the text goes on alike, and a row alone is no larger."""
    fw = memory(update=update, gate="layer")
    ids, more = tokens(2, 8), tokens(2, 5, seed=1)
    closed = torch.tensor([[0, 1, 0, 0, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]]).double()
    whole = fw.write(ids, write_weight=closed).state
    with torch.no_grad():
        state = fw.write(ids, write_weight=closed).state
        assert apart(state, whole) < 1e-12
        after = [fw.write(more, state=s).state for s in (state, whole)]
        assert apart(*after) < 1e-12
    if not whole.layers[0].written.folded:
        assert whole.rank == 8
        assert state.rank == 3
    assert state.index([1]).rank == 1
    assert state.row_bytes[1] == state.index([1]).nbytes
