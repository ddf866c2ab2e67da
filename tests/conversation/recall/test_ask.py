"""The batched engine against the naive oracle, and what each condition may see."""

import pytest
import torch

from asked_runs import CONFIG, recall, said
from conversation_models import fast_weights, prompter, samples
from ttt_memory.conversation.recall.naive import answer_naive, write_naive
from ttt_memory.conversation.recall.write_dialogues import write_texts
from ttt_memory.errors import UserError


def test_batched_answers_are_the_naive_ones():
    fw = fast_weights(lr=3.0)
    engine = recall(fw)
    rows = {(r["sample_id"], r["probe_id"]): r for r in engine.run("B")}
    for sample in engine.samples:
        state = write_naive(fw, prompter().ids([sample.dialogue])[0])
        for probe in sample.probes:
            (question,) = prompter().ids([prompter().question(probe.question, sample.language)])
            expected = answer_naive(fw, prompter(), question, state, CONFIG.max_new_tokens)
            row = rows[sample.sample_id, probe.probe_id]
            assert (row["prediction"], row["ended"], row["new_tokens"]) == (
                expected.text,
                expected.ended,
                expected.new_tokens,
            )


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
        text = sample.dialogue, prompter().question(probe.question, sample.language)
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
    assert not any(s.dialogue in row["prompt"] for s in recall().samples for row in rows)


def test_another_dialogue_is_never_ones_own():
    engine = recall()
    for i, sample in enumerate(engine.samples):
        donor = engine.maker._donor(i)
        assert donor.sample_id != sample.sample_id
        assert (donor.language, donor.level) == (sample.language, sample.level)


def test_a_lone_sample_has_no_donor():
    with pytest.raises(UserError, match="needs two samples"):
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
        assert len(episode.texts) == episode.setting


def test_long_texts_are_read_in_segments_and_short_rows_wait():
    fw = fast_weights(lr=3.0)
    ids = prompter().ids([s.dialogue for s in samples()[:3]])
    together = write_texts(fw, prompter(), [[ids[0], ids[1]], [ids[2]]], 32)
    for row, texts in enumerate([[ids[0], ids[1]], [ids[2]]]):
        alone = write_texts(fw, prompter(), [texts], 32)
        assert together.written[row] == alone.written[0] == sum(map(len, texts))
        for layer in (0, 1):
            torch.testing.assert_close(
                together.index([row]).to_dense()[layer], alone.to_dense()[layer]
            )


def test_unknown_condition_is_named():
    with pytest.raises(UserError, match="'Z'"):
        recall().run("Z")
