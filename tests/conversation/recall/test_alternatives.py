"""Alternatives to fast weights against naive oracles, and the bytes that each keeps."""

import math

import pytest
import torch

from asked_runs import recall, said
from conversation_models import fast_weights, model, prompter
from ttt_memory.conversation.recall.alternatives import kv_cache, quantised, retrieval
from ttt_memory.conversation.recall.alternatives.trained_adapter import train
from ttt_memory.errors import UserError
from ttt_memory.vocabulary import ALTERNATIVES, SWEPT, WHOLE

SETTINGS = {
    "alternative_distances": (0, 40),
    "budgets": (0.25, 1.0),
    "bits": (8, 2),
    "turns": (1, 2),
    "lora_ranks": (2,),
    "lora_steps": 3,
    "alternative_samples": 3,
}


def asked(fw=None, **changes):
    return recall(fw or fast_weights(lr=3.0, gate="top"), **{**SETTINGS, **changes})


def by_key(rows):
    return {(r["distance"], r["setting"], r["sample_id"], r["probe_id"]): r for r in rows}


def test_whole_cache_is_condition_a():
    engine = asked()
    expected = {key[1:]: text for key, text in said(engine.run("A")).items()}
    rows = [r for r in engine.run("K") if r["distance"] == 0]
    for row in rows:
        if row["setting"] in (1.0, WHOLE):  # right after the dialogue both are all of it
            assert row["prediction"] == expected[row["sample_id"], row["probe_id"]]
            assert row["state_bytes"] == row["kv_bytes"]


@torch.no_grad()
def masked_answer(engine, ids, kept, question):
    """The oracle: nothing is dropped, but the question may attend only to `kept` entries.

    `kept` is [layers, heads, T] bool; a mask of each layer and head is added to its scores.
    """
    fw, limit = engine.fw, engine.config.max_new_tokens
    base, new = fw.model, []
    masks = iter(())

    def own_mask(module, args, kwargs):
        kwargs["attention_mask"] = next(masks)
        return args, kwargs

    hooks = [
        layer.self_attn.register_forward_pre_hook(own_mask, with_kwargs=True)
        for layer in base.get_decoder().layers
    ]
    before = base.config._attn_implementation
    base.set_attn_implementation("eager")
    while len(new) < limit and prompter().end not in new:
        whole = torch.tensor([ids + question + new])
        causal = torch.ones(whole.shape[1], whole.shape[1], dtype=torch.bool).tril()
        seen = causal.expand(*kept.shape[:2], -1, -1).clone()
        seen[:, :, len(ids) :, : len(ids)] = kept[:, :, None]
        masks = iter(torch.zeros(seen.shape).masked_fill(~seen, -1e9)[:, None])
        new.append(int(base(input_ids=whole).logits[0, -1].argmax()))
    base.set_attn_implementation(before)
    for hook in hooks:
        hook.remove()
    return prompter().decode(new)[0]


@pytest.mark.parametrize("method", ["K", "K_gate"])
def test_cut_cache_answers_as_if_the_rest_were_masked(method):
    engine = asked(budgets=(0.25,))
    rows = by_key(engine.run(method))
    for episode in engine.maker.episodes(method):
        entries = kv_cache.entries_of(engine.engine, episode.ids)
        score = entries.received
        if method == "K_gate":
            score = kv_cache.write_gates(engine.engine, episode.texts).expand_as(score)
        count = int(0.25 * episode.dialogue_tokens)
        best = score.topk(count).indices
        kept = torch.zeros_like(score, dtype=torch.bool).scatter(2, best, True)
        for _, sample, probe in episode.asked[:2]:
            (question,) = prompter().ids([prompter().question(probe.question, sample.language)])
            row = rows[episode.distance, 0.25, sample.sample_id, probe.probe_id]
            assert row["prediction"] == masked_answer(engine, episode.ids, kept, question)


def test_attention_received_is_that_of_one_pass():
    engine, base = asked(), model()
    (episode, *_) = engine.maker.episodes("K")
    base.set_attn_implementation("eager")
    whole = base(input_ids=torch.tensor([episode.ids]), output_attentions=True).attentions
    found = kv_cache.entries_of(engine.engine, episode.ids)
    torch.testing.assert_close(found.received, torch.stack([a[0].sum(1) for a in whole]))
    # Each query hands out one.
    assert found.received.sum(-1).allclose(torch.tensor(float(found.length)))


def test_bytes_of_a_cut_cache_are_those_of_its_tensors():
    engine = asked()
    (episode, *_) = engine.maker.episodes("K")
    entries = kv_cache.entries_of(engine.engine, episode.ids)
    count = kv_cache.entry_count(0.25, episode)
    kept = entries.keep(entries.received, 0, count)
    row = next(
        r
        for r in engine.run("K")
        if r["sample_id"] == episode.asked[0][1].sample_id and r["setting"] == 0.25
    )
    assert row["state_bytes"] == kept.keys.nbytes + kept.values.nbytes
    assert count == int(0.25 * len(episode.ids))
    assert kept.length == len(episode.ids)  # questions go on behind all of the text


def test_a_run_without_a_gate_keeps_the_last_tokens():
    engine = asked(fast_weights(lr=3.0), segment_tokens=16)
    (episode, *_) = engine.maker.episodes("K_gate")
    gates = kv_cache.write_gates(engine.engine, episode.texts)
    assert gates.diff().eq(1).all()


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize(("length", "dim"), [(33, 2), (32, 2), (7, 2), (33, 3)])
def test_quantised_numbers_are_near_and_bytes_exact(bits, length, dim):
    x = torch.randn(2, 3, length, 16, generator=torch.Generator().manual_seed(0))
    made = quantised.Quantised.of(x, bits, dim)
    size = x.shape[dim]
    groups = math.ceil(size / quantised.GROUP) * (x.numel() // size)
    assert made.nbytes == math.ceil(x.numel() * bits / 8) + groups * (2 + 2)
    step = made.step.float().max()
    assert (made.restored(torch.float32) - x).abs().max() <= 0.51 * step + 0.01
    assert len(made.restored(torch.float32).unique()) <= groups * 2**bits


def test_quantised_extremes_survive():
    """The lowest and the highest number of a group, in 2 bits too; a constant group at all."""
    x = torch.tensor([0.0, 1.0, 2.0, 3.0]).repeat(8).view(1, 1, 32, 1)
    torch.testing.assert_close(quantised.Quantised.of(x, 2, 2).restored(x.dtype), x)
    same = torch.full((1, 1, 40, 4), 0.5)
    torch.testing.assert_close(quantised.Quantised.of(same, 4, 2).restored(x.dtype), same)


def test_eight_bits_answer_like_the_whole_cache_and_take_a_quarter():
    """Nearly always: logits of a model with random weights are nearly tied."""
    engine, same = asked(), []
    whole = by_key(engine.run("K"))
    for (distance, bits, *probe), row in by_key(engine.run("Q")).items():
        full = whole[(distance, 1.0, *probe)]
        assert row["state_bytes"] < full["state_bytes"] * (bits + 2) / 32 * 1.1
        if bits == 8 and distance == 0:
            same.append(row["prediction"] == full["prediction"])
    assert sum(same) > 0.7 * len(same)


pytest.importorskip("bm25s")


def test_bm25_finds_the_turn_that_shares_words():
    turns = ["Ann: The code is 4711.", "Bob: Nice weather.", "Ann: 会议在周五。", "Bob: Fine."]
    questions = ["What is the code?", "会议在哪天？", "zebra"]
    ranked = retrieval.rank(turns, questions)
    assert [places[0] for places in ranked] == [0, 2, 0]  # without a common word: in order
    assert all(sorted(places) == [0, 1, 2, 3] for places in ranked)


def test_turns_are_put_back_in_order_and_all_text_is_kept():
    engine = asked()
    rows = engine.run("R")
    episodes = {(e.distance, e.asked[0][1].sample_id): e for e in engine.maker.episodes("R")}
    for row in rows:
        episode = episodes[row["distance"], row["sample_id"]]
        turns = retrieval.turns_of(prompter(), episode)
        shown = row["prompt"].split("\n")[: int(row["setting"])]
        places = [turns.index(turn) for turn in shown]
        assert places == sorted(places)
        assert row["state_bytes"] == row["text_bytes"] == len(row["written"].encode())
        assert row["write_flops"] == 0


def test_an_adapter_is_trained_on_the_text_and_taken_off():
    engine = asked()
    fw = engine.fw
    ids = torch.tensor([engine.maker.episodes("L")[0].ids])
    before = fw.plain(input_ids=ids).logits
    episode = engine.maker.episodes("L")[0]
    factors = train(engine.engine, episode, 2)
    assert any(t.abs().max() > 0 for name, t in factors.items() if "lora_B" in name)
    rows = engine.run("L")
    assert {row["state_bytes"] for row in rows} == {sum(t.nbytes for t in factors.values())}
    torch.testing.assert_close(fw.plain(input_ids=ids).logits, before, rtol=0, atol=0)
    assert said(engine.run("L")) == said(rows)


def test_an_adapter_on_an_adapter_is_refused():
    from ttt_memory.conversation.config.training import LoraConfig
    from ttt_memory.conversation.models.lora import adapt

    engine = asked()
    adapt(engine.fw.model, LoraConfig(rank=2))
    with pytest.raises(UserError, match="regime lora"):
        engine.run("L")


@pytest.mark.parametrize("method", [name for name in ALTERNATIVES if name != "L"])
def test_batching_changes_nothing(method):
    fw = fast_weights(lr=3.0, gate="top")
    whole, small = asked(fw).run(method), asked(fw, rows=1, probe_rows=1).run(method)
    strip = lambda rows: {k: (r["prediction"], r["state_bytes"]) for k, r in by_key(rows).items()}  # noqa: E731
    assert strip(small) == strip(whole)
    settings = getattr(asked(fw).config, SWEPT[method].settings)
    extra = {WHOLE} if method in ("K", "B_bytes") else set()
    assert {row["setting"] for row in whole} == {*map(float, settings), *extra}
    assert {row["distance"] for row in whole} == {0, 40}
    assert len(by_key(whole)) == len(whole)


def test_compacted_states_keep_to_their_budget():
    engine = asked(fast_weights(lr=3.0, gate="top", update="mesa"))
    plain = {k[1:]: r for k, r in said(engine.run("B")).items()}
    rows = engine.run("B_bytes")
    # The budget is that of the dialogue alone, also where a distractor follows it.
    near = [r for r in rows if r["distance"] == 0]
    dialogue = {(r["sample_id"], r["probe_id"]): r["kv_bytes"] for r in near}
    assert len(near) < len(rows)
    for row in rows:
        if row["setting"] != WHOLE:
            share = dialogue[row["sample_id"], row["probe_id"]]
            assert row["state_bytes"] <= row["setting"] * share
        elif row["distance"] == 0:
            assert row["prediction"] == plain[row["sample_id"], row["probe_id"]]


def test_bytes_of_a_state_do_not_depend_on_what_is_written_beside_it():
    """Long rows are summed up; a short row beside them is counted as it is alone."""
    fw = fast_weights(lr=3.0, update="mesa")
    _, ff = fw.base_weight(0).shape
    for condition in ("B", "retention"):
        beside, alone = (recall(fw, rows=n, distances=(0, ff)).run(condition) for n in (16, 1))
        sizes = [
            {(r["setting"] == ff, r["sample_id"]): r["state_bytes"] for r in rows}
            for rows in (beside, alone)
        ]
        assert sizes[0] == sizes[1]
        dense = sum(fw.base_weight(i).numel() for i in fw.config.layers) * 4
        assert max(sizes[0].values()) < 1.1 * dense


def test_turns_that_do_not_fit_the_positions_are_refused():
    engine = asked(segment_tokens=16)
    asked_tokens = max(row["prompt_tokens"] for row in engine.run("R")) - 1
    engine.fw.model.config.max_position_embeddings = asked_tokens
    with pytest.raises(UserError, match=r"recall.turns: \d+ turns of a text with question and ans"):
        engine.run("R")


def test_sliding_windows_are_refused(monkeypatch):
    engine = asked()
    monkeypatch.setattr(kv_cache, "layer_kinds", lambda model: ["sliding_attention"])
    with pytest.raises(UserError, match="leave out K, K_gate and Q"):
        engine.run("K")
