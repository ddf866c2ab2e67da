"""Whose state is it, what is written when, and who may read it: one test per rule."""

import math
from itertools import pairwise

import pytest
import torch
from transformers import DynamicCache

from fast_weights_models import apart, dense, memory, tiny, tokens
from ttt_memory.fast_weights import FastState, LayerState
from ttt_memory.fast_weights.chunks import ChunkPlan, Pending
from ttt_memory.fast_weights.rules import least_squares, load
from ttt_memory.fast_weights.rules.states import RuleState
from ttt_memory.fast_weights.write import KeysAndValues, advance

OPTIONS = [
    {"gate": "top"},
    {"update": "mesa", "gate": "top"},
    {"gate": "layer", "update": "delta", "decay": 0.8},
    {"target": "input_embed", "flush": False},
    {"read_while_writing": True, "update": "delta", "gate": "layer"},
    {"read_while_writing": True, "update": "mesa", "gate": "layer"},
    {"read_while_writing": True, "decay": 0.8, "chunk": 7},
]
each_option = pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o)))


def stream(fw, ids, mask, cuts) -> tuple[FastState, torch.Tensor]:
    """Write `ids` in parts, the KV cache kept; state and hidden states."""
    state, cache, hidden = None, DynamicCache(), []
    for start, stop in pairwise([0, *cuts, ids.shape[1]]):
        result = fw.write(
            ids[:, start:stop],
            attention_mask=mask[:, :stop],
            state=state,
            past_key_values=cache,
            flush=stop == ids.shape[1],
        )
        state = result.state
        hidden.append(result.hidden)
    return state, torch.cat(hidden, 1)


@each_option
@pytest.mark.parametrize("cuts", [[8], [3], [1, 2, 3], [5, 6, 22], list(range(1, 23))])
def test_any_split_gives_the_same_state(options, cuts):
    """Streamed in parts, each row in its own chunk phase, or written at once: titans-pytorch#6."""
    fw = memory(**options)
    ids = tokens(3, 23)
    mask = torch.arange(23) < torch.tensor([[23], [16], [9]])
    with torch.no_grad():
        whole = fw.write(ids, attention_mask=mask)
        state, hidden = stream(fw, ids, mask, cuts)
    assert apart(state, whole.state) < 1e-10
    assert (hidden - whole.hidden)[mask].abs().max() < 1e-10
    assert state.written.equal(whole.state.written)
    assert not state.pending.any()


@each_option
def test_a_long_text_in_any_chunk_phase(options):
    """Longer than one piece of the products, begun in the middle of a chunk."""
    fw = memory(**options)
    ids, mask = tokens(2, 70), torch.ones(2, 70)
    with torch.no_grad():
        whole = fw.write(ids)
        state, hidden = stream(fw, ids, mask, [3])
    assert apart(state, whole.state) < 1e-10
    assert (hidden - whole.hidden).abs().max() < 1e-10


def test_a_gradient_reaches_through_the_pending_chunk():
    """A stream's gradient is that of the text at once."""
    fw = memory(gate="layer", read_while_writing=True)
    ids, mask = tokens(2, 10), torch.ones(2, 10)
    parameters = list(fw.fast_parameters())
    gradients = []
    for cuts in ([], [3, 5]):
        state, hidden = stream(fw, ids, mask, cuts)
        loss = hidden.square().sum() + sum(dw.square().sum() for dw in dense(state).values())
        gradients.append(torch.autograd.grad(loss, parameters))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@each_option
def test_flush_ends_a_text(options):
    """`flush` later is `flush` at once; without it the partial chunk is not in dW."""
    fw = memory(**options)
    ids = tokens(2, 18)
    waiting = fw.write(ids, flush=False).state
    full = 18 // fw.config.chunk * fw.config.chunk
    assert waiting.pending.tolist() == [18 - full] * 2
    assert apart(fw.flush(waiting), fw.write(ids).state) < 1e-12
    dropped = memory(**options | {"flush": False}).write(ids).state
    assert apart(waiting, dropped) < 1e-12
    assert dropped.pending.tolist() == [0, 0]
    assert dropped.written.tolist() == [full] * 2
    if fw.config.flush:
        assert fw.flush(waiting).written.tolist() == [18, 18]
        assert apart(fw.flush(waiting), dropped) > 1e-3


@pytest.mark.parametrize("flush", [True, False])
def test_text_shorter_than_a_chunk(flush):
    """It is one partial chunk, written at the end of the dialogue or not: titans-pytorch#59."""
    state = memory(flush=flush, chunk=16).write(tokens(1, 5)).state
    assert all((norm > 0) == flush for norm in state.norms().values())


@each_option
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_never_written(options, side):
    """How much there is and what stands there changes no state: transformers#46773."""
    fw = memory(**options)
    ids = tokens(2, 13)
    alone = fw.write(ids).state
    for junk in (0, 5):
        pad, none = torch.full((2, 6), junk), torch.zeros(2, 6)
        order = slice(None, None, 1 if side == "right" else -1)
        padded = torch.cat([ids, pad][order], 1)
        mask = torch.cat([torch.ones(2, 13), none][order], 1)
        positions = (mask.cumsum(1) - 1).clamp_min(0).long()
        state = fw.write(padded, attention_mask=mask, position_ids=positions).state
        assert apart(state, alone) < 1e-10
        assert state.written.equal(alone.written)


def test_padding_content_changes_no_bit():
    """Other tokens in the padding: the same state exactly, and no gradient from it."""
    fw = memory(gate="top", update="delta")
    ids, mask = tokens(2, 12), torch.arange(12) < torch.tensor([[12], [7]])
    other = ids.masked_fill(~mask, 9)
    assert apart(fw.write(ids, mask).state, fw.write(other, mask).state) == 0


@pytest.mark.parametrize("options", [*OPTIONS, {"update": "mesa", "recency": 0.8}])
def test_padding_within_a_text_ages_nothing(options):
    """Also where a state goes on: flash-linear-attention#1272 left out values, but no decay."""
    fw, ids, mask = memory(**options), tokens(2, 14), torch.ones(2, 14)
    mask[:, 5:9] = 0
    places = (mask.cumsum(1) - 1).long()
    before = fw.write(tokens(2, 6, seed=1)).state
    found, other = (
        fw.write(text, mask, state=before, position_ids=places).state
        for text in (ids, ids.masked_fill(mask == 0, 9))
    )
    assert apart(found, other) == 0
    alone = fw.write(ids[:, mask[0].bool()], state=before).state
    assert apart(found, alone) < 1e-10
    assert found.written.equal(alone.written)


@each_option
def test_a_row_of_no_tokens_stays_empty(options):
    """Public kin: flashinfer#3536, where such a sequence never ended."""
    fw, ids, mask = memory(**options), tokens(3, 9), torch.ones(3, 9)
    mask[1] = 0
    state = fw.write(ids, mask).state
    assert state.written[1] == 0
    assert apart(state.index([1]), fw.empty_state(1)) == 0
    assert apart(state.index([0, 2]), fw.write(ids[[0, 2]]).state) < 1e-10
    assert fw.read(state, ids).logits[1].equal(fw.plain(ids).logits[1])


@each_option
def test_batch_rows_never_see_each_other(options):
    """A batch is its rows one by one; another row's tokens change no bit of this row's."""
    fw = memory(**options)
    ids = tokens(4, 17)
    mask = torch.arange(17) < torch.tensor([[17], [4], [11], [1]])
    batch = fw.write(ids, mask).state
    for row, length in enumerate(mask.sum(1).tolist()):
        alone = fw.write(ids[row : row + 1, :length]).state
        assert apart(batch.index([row]), alone) < 1e-10
    other = ids.clone()
    other[1:] = tokens(3, 17, seed=9)
    changed = fw.write(other, mask).state
    assert apart(changed.index([0]), batch.index([0])) == 0
    assert apart(changed.index([2]), batch.index([2])) > 1e-3


@each_option
def test_a_new_document_starts_empty(options):
    """No state, an empty one, and a reset row are the same start; the other row goes on."""
    fw = memory(**options)
    first, second = tokens(2, 10), tokens(2, 14, seed=1)
    before = fw.write(first, flush=False).state
    fresh = fw.write(second).state
    assert apart(fw.write(second, state=fw.empty_state(2)).state, fresh) == 0
    after = fw.write(second, state=before.reset([1]))
    assert apart(after.state.index([1]), fresh.index([1])) < 1e-10
    assert after.state.written[1] == fresh.written[1]
    went_on = fw.write(second, state=before).state
    assert apart(after.state.index([0]), went_on.index([0])) < 1e-10
    assert apart(went_on, fresh) > 1e-3


def test_no_chunk_reaches_over_the_end_of_a_document():
    """Two dialogues into one state: the second's first chunk starts at its first token."""
    fw = memory(decay=1.0)
    first, second = tokens(1, 6), tokens(1, 7, seed=1)
    both = fw.write(second, state=fw.write(first).state).state
    apiece = [dense(fw.write(ids).state) for ids in (first, second)]
    for i, dw in dense(both).items():
        torch.testing.assert_close(dw, apiece[0][i] + apiece[1][i])


@each_option
def test_probes_read_and_never_write(options):
    """A probe of several chunks, and the tokens generated after it, leave the state as it is."""
    fw = memory(**options)
    state = fw.write(tokens(1, 12), flush=False).state
    before = state.to(torch.float64, copy=True)
    cache, probe = DynamicCache(), tokens(1, 9, seed=2)
    ids, seen = probe, []
    for _ in range(9):
        logits = fw.read(state, input_ids=ids, past_key_values=cache, use_cache=True).logits
        ids = logits[:, -1:].argmax(-1)
        seen.append(ids)
    assert apart(state, before) == 0
    assert state.pending.equal(before.pending)
    for layer, copy in zip(state.layers.values(), before.layers.values(), strict=True):
        assert layer.pending.z.equal(copy.pending.z)
    whole = torch.cat([probe, *seen[:-1]], 1)
    again = fw.read(state, input_ids=whole).logits[:, -1:].argmax(-1)
    assert again.equal(seen[-1])


def test_the_delta_rule_never_overshoots():
    """However strong the write, the last key then returns its value exactly, and not more.

    Public kin: flash-linear-attention#537, #736.
    """
    torch.manual_seed(0)
    z, target = torch.randn(2, 1, 9, 6, dtype=torch.float64)
    returned = returned_by("delta", z, target, 100.0)
    torch.testing.assert_close(returned[:, -1], target[:, -1])
    assert (returned[:, 0] - target[:, 0]).abs().max() > 0.1  # nine keys in six dimensions


def returned_by(update: str, z: torch.Tensor, target: torch.Tensor, weight: float) -> torch.Tensor:
    """What the keys `[1, T, ff]` return once all tokens are written in one chunk at rate 0.5."""
    length, rule = z.shape[1], load(update)
    start = LayerState(rule.State.empty(1, 6, 6, z), Pending.empty(1, 6, 6, z))
    none, mask = torch.zeros(1, dtype=torch.long), torch.ones(1, length, dtype=torch.bool)
    plan = ChunkPlan.build(none, 0, mask, length, 1.0, "write")
    made = KeysAndValues(rate=0.5, conv=None, proj=None, normalise=True)
    text = Pending(z, target, torch.full((1, length), weight, dtype=torch.float64))
    _, after = advance(start, plan, rule, made, text, read=False)
    return after.written.read(made.keys(z))


@pytest.mark.parametrize("weight", [0.0, 0.1, 2.0, 100.0])
def test_what_an_isolated_key_returns(weight):
    """Of its value, s = 1 - exp(-lr weight) by delta rule, s / (1 + 0.01 s) by least squares."""
    z, target = torch.randn(2, 1, 1, 6, dtype=torch.float64)
    share = 1 - math.exp(-0.5 * weight)
    for update, expected in (("delta", share), ("mesa", share / (1 + 0.01 * share))):
        torch.testing.assert_close(returned_by(update, z, target, weight), expected * target)


def test_least_squares_has_no_order():
    """Two texts in either order leave the same memory; by the delta rule they do not."""
    fw = memory(update="mesa", conv_width=3)
    first, second = tokens(2, 9), tokens(2, 14, seed=1)
    with torch.no_grad():
        ahead = fw.write(second, state=fw.write(first).state).state
        back = fw.write(first, state=fw.write(second).state).state
        delta = memory(update="delta", conv_width=3)
        swapped = [
            delta.write(b, state=delta.write(a).state).state
            for a, b in ((first, second), (second, first))
        ]
    assert apart(ahead, back) < 1e-12
    assert apart(*swapped) > 1e-2


def sessions(recency: float, values: torch.Tensor, keys: torch.Tensor) -> RuleState:
    """S texts of n tokens each, `[S, n, ...]` float32, of strength 1, by least squares."""
    state = load("mesa").State.empty(1, values.shape[2], keys.shape[2], keys)
    counts = least_squares.counts(torch.ones(1, keys.shape[1]))
    for number, (value, key) in enumerate(zip(values, keys, strict=True)):
        state = state.age(torch.tensor([recency])) if number else state
        state = state.append(keys=key[None], values=value[None], counts=counts)
    return state


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("recency", [0.5, 0.3])
@pytest.mark.parametrize("old", [0, 3, 6])
def test_the_later_of_two_equal_keys_wins_and_all_else_is_kept(old, recency, folded):
    """Eight texts of 20 random keys; four keys of one return in the last, with other values."""
    torch.manual_seed(0)
    keys = torch.nn.functional.normalize(torch.randn(8, 20, 384), dim=-1)
    values = torch.nn.functional.normalize(torch.randn(8, 20, 128), dim=-1)
    keys[7, :4] = keys[old, :4]
    aged, ageless = (sessions(factor, values, keys) for factor in (recency, 1.0))
    read = (aged.fold() if folded else aged).read(keys.flatten(0, 1)[None]).reshape(values.shape)
    plain = ageless.read(keys.flatten(0, 1)[None]).reshape(values.shape)
    share = 1 / (1 + recency ** (7 - old))  # of equal keys the weighted mean is returned
    expected = share * values[7, :4] + (1 - share) * values[old, :4]
    assert (read[7, :4] - expected).norm(dim=-1).max() < 0.05
    for text in range(7):
        own = slice(4, None) if text == old else slice(None)
        error = (read[text, own] - values[text, own]).norm(dim=-1).mean()
        without = (plain[text, own] - values[text, own]).norm(dim=-1).mean()
        assert error < without + (0.02 if recency == 0.5 else 0.12)


@pytest.mark.parametrize("update", ["hebbian", "mesa"])
@pytest.mark.parametrize("before", [3, 30])
def test_absorbed_texts_are_as_if_read_one_by_one(update, before):
    """Memories and gradients; from factors and from the dense form, of which 12 keys are enough."""
    fw = memory(update=update)
    dialogues, texts = tokens(2, before), tokens(3, 7, seed=1)
    parameters = list(fw.fast_parameters())

    def gradients(state):
        loss = sum(dw.sin().sum() for dw in dense(state).values())
        return torch.autograd.grad(loss, parameters)

    expected = fw.write(dialogues).state
    for text in texts:
        expected = fw.write(text.expand(2, -1), state=expected).state
    found = fw.write(dialogues).state.merge(fw.write(texts).state)
    assert apart(found, expected) < 1e-10
    assert found.written.equal(expected.written)
    for ours, theirs in zip(gradients(found), gradients(expected), strict=True):
        torch.testing.assert_close(ours, theirs)
    again = [fw.write(dialogues, state=state).state for state in (found, expected)]
    assert apart(*again) < 1e-10


@pytest.mark.parametrize("update", ["hebbian", "mesa"])
def test_absorbing_nothing_and_by_what_is_empty(update):
    fw = memory(update=update)
    state = fw.write(tokens(3, 7)).state
    nothing = fw.write(tokens(3, 7), write_mask=torch.zeros(3, 7, dtype=torch.bool)).state
    assert apart(state.merge(nothing), state) < 1e-10
    for empty in (fw.empty_state(2), nothing.index([0, 1])):
        found = empty.merge(state)
        assert apart(found.index([0]), found.index([1])) == 0
        assert apart(found.index([0]), fw.empty_state(1).merge(state)) < 1e-10
        assert found.norms()[0].min() > 0


def test_what_waits_for_its_chunk_is_not_absorbed():
    fw = memory(update="mesa")
    waiting = fw.write(tokens(1, 6), flush=False).state
    with pytest.raises(ValueError, match="pending"):
        fw.empty_state(1).merge(waiting)


@pytest.mark.parametrize("update", ["hebbian", "delta", "mesa"])
def test_nothing_is_read_before_its_chunk_is_over(update):
    """What a token writes is read by no token of its chunk, nor before: perturb the write."""
    fw = memory(read_while_writing=True, update=update, chunk=4)
    ids, weight = tokens(1, 19), torch.ones(1, 19, dtype=torch.float64)
    before = fw.write(ids, write_weight=weight).hidden
    for token in range(19):
        other = weight.clone()
        other[0, token] = 7
        after = fw.write(ids, write_weight=other).hidden
        end = (token // 4 + 1) * 4
        assert after[:, :end].equal(before[:, :end])
        if end < 19:
            assert (after[:, end:] - before[:, end:]).abs().amax(-1).min() > 1e-9


def test_no_later_token_changes_an_earlier_hidden_state():
    """Through the convolution, which looks ahead inside a chunk, nothing leaks."""
    fw = memory(read_while_writing=True, chunk=4)
    ids = tokens(1, 19)
    before = fw.write(ids).hidden
    for token in range(1, 19):
        other = ids.clone()
        other[0, token:] = (other[0, token:] + 1) % 40
        after = fw.write(other).hidden
        torch.testing.assert_close(after[:, :token], before[:, :token], rtol=0, atol=1e-12)


def test_with_reading_off_the_text_is_seen_by_the_base_model_alone():
    """One forward serves all: hidden states and logits of `write` are the base model's."""
    fw = memory(gate="top")
    ids = tokens(2, 15)
    state = fw.write(tokens(2, 9, seed=3)).state
    result = fw.write(ids, state=state, logits=True)
    assert result.logits.equal(fw.plain(input_ids=ids).logits)
    assert result.hidden.equal(fw.model.model(input_ids=ids).last_hidden_state)


def test_write_mask_and_weight():
    """Probes packed behind their dialogue are not written; a weight of zero writes nothing."""
    fw = memory(gate="layer")
    ids = tokens(2, 14)
    dialogue = (torch.arange(14) < 10).expand(2, -1)
    mask = torch.ones(14, 14, dtype=torch.bool).tril().expand(2, 1, -1, -1)
    packed = fw.write(ids, attention_mask=mask, write_mask=dialogue).state
    assert apart(packed, fw.write(ids[:, :10]).state) < 1e-10
    nothing = fw.write(ids, write_weight=torch.zeros(2, 14)).state
    assert all((dw == 0).all() for dw in dense(nothing).values())
    doubled = memory(gate="none").write(ids, write_weight=torch.full((2, 14), 2.0)).state
    once = memory(gate="none").write(ids).state
    for i, dw in dense(once).items():
        torch.testing.assert_close(dense(doubled)[i], 2 * dw)


def test_nothing_is_hidden_in_the_model():
    """A write leaves no tensor on any module, and the model as it was."""
    fw = memory(tiny())
    before = {name: t.clone() for name, t in fw.state_dict().items()}
    known = {id(m): set(vars(m)) for m in fw.modules()}
    ids = tokens(2, 9)
    logits = fw.plain(input_ids=ids).logits
    fw.read(fw.write(ids).state, input_ids=ids)
    assert fw.plain(input_ids=ids).logits.equal(logits)
    assert {id(m): set(vars(m)) for m in fw.modules()} == known
    assert all(t.equal(before[name]) for name, t in fw.state_dict().items())


def test_a_pass_that_fails_leaves_memory_off():
    """An exception in the middle of a read does not leave the memory switched on."""
    fw = memory()
    ids = tokens(1, 6)
    logits, state = fw.plain(input_ids=ids).logits, fw.write(tokens(3, 6)).state
    with pytest.raises(ValueError, match="batch of 1"):
        fw.read(state, input_ids=ids)
    assert fw.plain(input_ids=ids).logits.equal(logits)
