"""The batched engine against the naive oracle, and what each condition may see."""

import pytest
import torch

from asked_runs import CONFIG, recall, said
from conversation_models import fast_weights, prompter, samples
from ttt_memory import io
from ttt_memory.conversation.recall.answers import answer
from ttt_memory.conversation.recall.naive import answer_naive, write_naive
from ttt_memory.conversation.recall.write_dialogues import write_texts
from ttt_memory.errors import UserError
from ttt_memory.scoring import schemas


def test_batched_answers_are_the_naive_ones():
    fw = fast_weights(lr=3.0)
    engine = recall(fw)
    rows = {(r["sample_id"], r["probe_id"]): r for r in engine.run("B")}
    for sample in engine.samples:
        state = write_naive(fw, prompter().sessions(sample))
        for probe in sample.probes:
            (question,) = prompter().ids([prompter().question(probe.question, sample.language)])
            expected = answer_naive(fw, prompter(), question, state, CONFIG.max_new_tokens)
            row = rows[sample.sample_id, probe.probe_id]
            assert (row["prediction"], row["ended"], row["new_tokens"]) == (
                expected.text,
                expected.ended,
                expected.new_tokens,
            )


def test_nothing_asked_and_no_tokens_allowed():
    fw = fast_weights()
    assert answer(fw, prompter(), [[], []]) == [[], []]
    with pytest.raises(ValueError, match="max_new_tokens: found 0, expected at least 1"):
        answer(fw, prompter(), [[[5]]], max_new_tokens=0)


@pytest.mark.parametrize("condition", ["A", "B", "C", "W", "N", "retention", "capacity"])
def test_batching_and_sharding_change_nothing(condition):
    fw = fast_weights(lr=3.0)
    whole = recall(fw).run(condition)
    small = recall(fw, rows=1, probe_rows=1)
    parts = [row for i in range(3) for row in small.run(condition, (i, 3))]
    keep = ("setting", "order", "sample_id", "probe_id", "prediction")
    strip = lambda rows: sorted(tuple(str(r[k]) for k in keep) for r in rows)  # noqa: E731
    assert strip(parts) == strip(whole)


def test_context_is_what_a_prompt_of_its_own_gives():
    fw, engine = fast_weights(), recall()
    rows = {(r["sample_id"], r["probe_id"]): r for r in engine.run("A")}
    sample = engine.samples[0]
    for probe in sample.probes:
        text = *sample.sessions, prompter().question(probe.question, sample.language)
        ids = [t for part in prompter().ids(list(text)) for t in part]
        new = []
        while len(new) < CONFIG.max_new_tokens and prompter().end not in new:
            with torch.no_grad():
                new.append(
                    int(fw.plain(input_ids=torch.tensor([ids + new])).logits[0, -1].argmax())
                )
        row = rows[sample.sample_id, probe.probe_id]
        assert row["prediction"] == prompter().decode(new)[0]
        assert row["prompt"] == "".join(text)


def test_nothing_is_seen_without_context_or_memory():
    rows = recall().run("C")
    assert all(row["written_tokens"] == 0 for row in rows)
    questions = {p.question for s in recall().samples for p in s.probes}
    assert all(any(q in row["prompt"] for q in questions) for row in rows)
    assert not any(s.sessions[0] in row["prompt"] for s in recall().samples for row in rows)


def test_another_dialogue_is_never_ones_own():
    engine = recall()
    for i, sample in enumerate(engine.samples):
        donor = engine.maker._donor(i)
        assert donor.sample_id != sample.sample_id
        assert (donor.language, donor.level) == (sample.language, sample.level)


def test_a_lone_sample_has_no_donor():
    with pytest.raises(UserError, match="needs two skeletons"):
        recall(count=1).run("W")


def test_scale_one_is_condition_b_and_zero_like_c():
    fw = fast_weights(lr=3.0)
    engine = recall(fw, scales=(0.0, 1.0), sweep_samples=8)
    found = said(engine.run("scale"))
    plain = {key[1:]: text for key, text in said(engine.run("B")).items()}
    empty = {key[1:]: text for key, text in said(engine.run("C")).items()}
    assert {k[1:]: v for k, v in found.items() if k[0] == 1.0} == plain
    assert {k[1:]: v for k, v in found.items() if k[0] == 0.0} == empty


def test_capacity_asks_only_what_one_dialogue_answers():
    engine = recall()
    for episode in engine.maker.episodes("capacity"):
        questions = [probe.question for _, _, probe in episode.asked]
        assert len(set(questions)) == len(questions)
        dialogues = {sample.sample_id: sample for _, sample, _ in episode.asked}.values()
        assert len(dialogues) <= episode.setting
        assert len(episode.texts) >= sum(len(sample.sessions) for sample in dialogues)


def test_long_texts_are_read_in_segments_and_short_rows_wait():
    fw = fast_weights(lr=3.0)
    ids = prompter().ids([s.sessions[0] for s in samples()[:3]])
    together = write_texts(fw, prompter(), [[ids[0], ids[1]], [ids[2]]], 32)
    for row, texts in enumerate([[ids[0], ids[1]], [ids[2]]]):
        alone = write_texts(fw, prompter(), [texts], 32)
        assert together.written[row] == alone.written[0] == sum(map(len, texts))
        for layer in (0, 1):
            torch.testing.assert_close(
                together.index([row]).to_dense()[layer], alone.to_dense()[layer]
            )


def test_what_is_held_ages_once_with_each_text_however_many_segments():
    """A text alone never ages itself; a second text ages the first once."""
    ids = prompter().ids([s.sessions[0] for s in samples()[:2]])
    ageless, aged = (fast_weights(lr=3.0, update="mesa", recency=r) for r in (1.0, 0.3))
    states = [write_texts(fw, prompter(), [[ids[0]], ids], 32) for fw in (ageless, aged)]
    assert len(ids[0]) > 64
    for layer in (0, 1):
        alone, both = (torch.stack([s.to_dense()[layer][row] for s in states]) for row in (0, 1))
        torch.testing.assert_close(*alone, rtol=0, atol=0)
        assert (both[0] - both[1]).norm() > 1e-3 * both[0].norm()
        ridge = states[1].layers[layer].written.aged.neg().exp()
        torch.testing.assert_close(ridge[:, 0], ridge.new_tensor([1.0, 0.3]))


def test_unknown_condition_is_named():
    with pytest.raises(UserError, match="'Z'"):
        recall().run("Z")


def test_what_is_too_long_for_the_model_is_not_asked_and_says_so(tmp_path):
    """A sweep goes on; a condition of the benchmark is refused, see test_bad_models."""
    far = {"alternative_distances": (0, 800), "budgets": (1.0,), "alternative_samples": 3}
    expected = recall(fast_weights(lr=3.0), **far).run("K")
    fw = fast_weights(lr=3.0)
    fw.model.config.max_position_embeddings = 800
    rows = recall(fw, **far, segment_tokens=64).run("K")
    near = [row for row in expected if row["distance"] == 0]
    assert [strip(row) for row in rows if row["distance"] == 0] == [strip(row) for row in near]
    unasked = [row for row in rows if row["distance"] == 800]
    assert len(unasked) == len({(row["sample_id"], row["probe_id"]) for row in near})
    assert all(row["too_long"] > 800 and row["prediction"] == "" for row in unasked)
    kept = recall(fw, **far, segment_tokens=64).run("B_bytes")
    assert {(row["distance"], row["too_long"]) for row in kept} == {(0, 0), (800, 0)}
    io.write_table(tmp_path / "rows.parquet", rows, schemas.PREDICTIONS, {})


def strip(row: dict) -> dict:
    """A row without its times."""
    return {name: value for name, value in row.items() if not name.endswith("seconds")}
