"""Training: what is trained, how steps are drawn, and that a resumed run repeats the whole one."""

import math
from collections import defaultdict
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from conversation_models import fast_weights, prompter, sampler, single
from trained_runs import MIX, losses, run_config, trained
from ttt_memory.conversation.config.training import (
    EpisodeConfig,
    OptimiserConfig,
    StepMix,
)
from ttt_memory.conversation.prompts.packing import Packed
from ttt_memory.conversation.train import loop as loop_module
from ttt_memory.conversation.train.batches import BatchMaker
from ttt_memory.conversation.train.loop import Schedule
from ttt_memory.conversation.train.objective import Objective, written_share
from ttt_memory.conversation.train.train_run import train
from ttt_memory.errors import UserError


def test_answers_are_learned_through_the_write():
    """With two dialogues, the probes can only be answered from the state."""
    fw = fast_weights(lr=0.5)
    data = sampler()
    data.samples = data.samples[:2]
    config = run_config(fw, steps=60, context_share=0.0, empty_share=0.0, episode=EpisodeConfig())
    rows = train(fw, data, config, Accelerator(cpu=True))
    assert losses(rows)[-1] < 0.5 * losses(rows)[0]


def test_regime_frozen_changes_only_the_fast_weights():
    before = fast_weights()
    fw, _ = trained(regime="frozen")
    for (name, old), new in zip(
        before.model.named_parameters(), fw.model.parameters(), strict=True
    ):
        assert torch.equal(old, new), name
    moved = [
        not torch.equal(a, b)
        for a, b in zip(before.fast.parameters(), fw.fast.parameters(), strict=False)
    ]
    assert all(moved)


def test_regime_joint_changes_the_base():
    before = fast_weights()
    fw, _ = trained(regime="joint")
    assert any(
        not torch.equal(a, b)
        for a, b in zip(before.model.parameters(), fw.model.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    "changes", [{}, {"keep_context": True}, {"accumulation": 2}, {"regime": "frozen"}]
)
def test_same_seed_same_losses(changes):
    assert losses(trained(**changes)[1]) == losses(trained(**changes)[1])


@pytest.mark.parametrize("regime", ["joint", "frozen"])
def test_gradient_checkpointing_gives_the_same_losses(regime):
    changes = {"regime": regime, "config": {"gate": "layer", "read_while_writing": True}}
    found = losses(trained(**changes, gradient_checkpointing=True)[1])
    assert found == pytest.approx(losses(trained(**changes)[1]), rel=1e-5)


def test_another_seed_draws_other_batches():
    assert losses(trained(seed=0)[1]) != losses(trained(seed=1)[1])


def test_a_resumed_run_repeats_the_uninterrupted_one(tmp_path, monkeypatch):
    expected_fw, expected = trained(steps=6, checkpoint_every=2)
    original = loop_module.Loop._step

    def interrupted(self, step, *rest):
        if step == 5:
            raise KeyboardInterrupt
        return original(self, step, *rest)

    monkeypatch.setattr(loop_module.Loop, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, steps=6, checkpoint_every=2)
    monkeypatch.setattr(loop_module.Loop, "_step", original)
    fw, rows = trained(tmp_path, steps=6, checkpoint_every=2)
    assert losses(rows) == losses(expected)
    for a, b in zip(fw.parameters(), expected_fw.parameters(), strict=True):
        assert torch.equal(a, b)


def test_an_incomplete_checkpoint_is_ignored(tmp_path):
    (tmp_path / "step-000004").mkdir()
    assert losses(trained(tmp_path)[1]) == losses(trained()[1])


def test_a_loss_that_is_not_finite_ends_the_run_with_step_and_checkpoint(tmp_path, monkeypatch):
    """Public kin: titans-pytorch#53."""
    original = Objective.forward

    def broken(self, batch):
        found = original(self, batch)
        broken.calls += 1
        return replace(found, total=found.total * math.nan) if broken.calls == 4 else found

    broken.calls = 0
    monkeypatch.setattr(Objective, "forward", broken)
    with pytest.raises(
        UserError, match=r"not finite at step 3; last checkpoint kept at .*step-0+2"
    ):
        trained(tmp_path, checkpoint_every=2)


def test_next_token_objectives_need_read_while_writing():
    with pytest.raises(UserError, match="read_while_writing"):
        trained(objective="lm")
    _, rows = trained(objective="mixed", config={"read_while_writing": True}, steps=8)
    assert {row["objective"] for row in rows} >= {"lm"}


def test_every_kind_of_batch_is_drawn():
    fw = fast_weights()
    config = run_config(fw, steps=1, dialogues_per_step=4).train
    batches = BatchMaker(sampler(), config)
    shapes = {(b.objective, len(b.texts)) for b in (batches.batch(s, 0) for s in range(120))}
    assert {("context", 0), ("write_drop_read", 1), ("write_drop_read", 2)} <= shapes
    assert any(count > 2 for kind, count in shapes)


def test_the_micro_batches_of_a_step_have_one_kind_and_different_texts():
    fw = fast_weights()
    config = run_config(fw, context_share=0.3, episode=EpisodeConfig(step_mix=MIX)).train
    batches = BatchMaker(sampler(), config)
    kinds = set()
    for step in range(30):
        first, second = batches.batch(step, 0), batches.batch(step, 1)
        assert first.objective == second.objective
        assert len(first.texts) == len(second.texts)
        assert first.packed.input_ids.tolist() != second.packed.input_ids.tolist()
        kinds.add((first.objective, len(first.texts)))
    assert len(kinds) > 3


def test_only_a_write_drop_read_batch_writes_and_its_probes_have_no_context():
    fw = fast_weights()
    batches = BatchMaker(sampler(), run_config(fw).train)
    for step in range(40):
        batch = batches.batch(step, 0)
        longest = max(len(ids) for e in prompter().encode(sampler().samples) for ids in e.questions)
        if batch.objective == "write_drop_read":
            assert batch.packed.position_ids.max() <= longest + 32
        else:
            assert not batch.texts


def test_a_write_drop_read_step_also_asks_in_context_and_writes_no_question():
    fw = fast_weights()
    config = run_config(fw, episode=EpisodeConfig(), context_share=0.0, empty_share=0.0).train
    batch = BatchMaker(sampler(chosen=single()), config).batch(0, 0)
    (text,) = batch.texts
    objective = Objective(fw, config)
    found = objective(batch)
    alone = objective(replace(batch, objective="context", texts=[], packed=text.packed))
    assert found.context == pytest.approx(alone.own, rel=1e-5)
    assert found.total.item() == pytest.approx(found.own + found.context, rel=1e-5)
    ids, written = text.packed.input_ids, text.written
    state, _ = objective._write(batch.texts)
    plain = fw.write(input_ids=ids * written, attention_mask=written.long()).state
    for layer in fw.config.layers:
        a, b = state.to_dense()[layer], plain.to_dense()[layer]
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def of_one_row(text, row):
    """A written text whose rows are all the given row, each written into its own state."""
    parts = vars(text.packed).items()
    same = {n: t[row].expand_as(t) if torch.is_tensor(t) else t for n, t in parts}
    written = text.written[row].expand_as(text.written)
    return replace(text, packed=Packed(**same), written=written, shared=False)


@pytest.mark.parametrize("update", ["hebbian", "mesa"])
@pytest.mark.parametrize("kind", ["after", "before"])
def test_shared_distractors_are_written_into_the_state_of_every_dialogue(update, kind):
    """The result is that of writing all distractors, one after the other, after each dialogue."""
    fw = fast_weights(update=update)
    episode = EpisodeConfig(step_mix=StepMix(plain=0, **{kind: 1}))
    shape = {"episode": episode, "context_share": 0.0, "empty_share": 0.0}
    config = run_config(fw, share_distractors=True, **shape).train
    batch = BatchMaker(sampler(chosen=single()), config).batch(0, 0)
    dialogues, distractors = batch.texts
    assert distractors.shared
    assert len(distractors.written) == len(dialogues.written) == 4
    one_by_one = [of_one_row(distractors, row) for row in range(4)]
    objective = Objective(fw, config)
    found = objective(batch)
    expected = objective(replace(batch, texts=[dialogues, *one_by_one]))
    assert found.own == pytest.approx(expected.own, rel=1e-5)
    assert found.inner_norm == pytest.approx(expected.inner_norm, rel=1e-4)
    alone = objective(replace(batch, texts=[dialogues, replace(distractors, shared=False)]))
    assert abs(found.inner_norm / alone.inner_norm - 1) > 1e-3


def test_the_learning_rate_rises_stays_and_falls():
    schedule = Schedule(100, 1, 50, 0, OptimiserConfig(warmup=0.1, cooldown=0.4))
    factors = [schedule.factor(step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:60] == pytest.approx([1.0] * 51)
    assert factors[99] == pytest.approx(0.025)
    assert all(0 < factor <= 1 for factor in factors)


def test_the_price_of_writing_is_the_share_of_tokens_written():
    fw = fast_weights(gate="top", update="delta")
    config = run_config(fw, context_weight=0.0, empty_share=0.0, context_share=0.0).train
    batch = next(
        b
        for b in (BatchMaker(sampler(), config).batch(s, 0) for s in range(99))
        if len(b.texts) == 2
    )
    with torch.no_grad():
        for name, parameter in fw.fast.named_parameters():
            if name.endswith("gate_weight"):
                parameter.normal_(generator=torch.Generator().manual_seed(0))
    free = Objective(fw, config)(batch)
    priced = Objective(fw, config)(replace(batch, gate_cost=3.0))
    strengths = defaultdict(list)  # by layer and row
    for text in batch.texts:
        gates = fw.write(
            input_ids=text.packed.input_ids,
            attention_mask=text.packed.mask,
            position_ids=text.packed.position_ids,
            write_mask=text.written,
        ).gates
        for layer, gate in gates.items():
            for row, written in enumerate(text.written):
                strength = 1 - torch.exp(-fw.config.lr * gate[row, written])
                strengths[layer, row] += strength.tolist()
    shares = [sum(s) ** 2 / (len(s) * sum(x * x for x in s)) for s in strengths.values()]
    share = sum(shares) / len(shares)
    assert 0 < share < 0.99
    assert priced.total.item() - free.total.item() == pytest.approx(3 * share, rel=1e-4)
    assert priced.own == free.own


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_the_price_stays_when_every_token_is_written_more_weakly(scale):
    strength = scale * torch.tensor([[[1.0, 1.0, 0.0, 0.0, 9.0]]])
    written = torch.tensor([[True, True, True, True, False]])
    assert written_share(strength, written).item() == pytest.approx(0.5)
    assert written_share(0 * strength, written).item() == 0


def test_writing_has_no_price_while_dialogues_grow():
    fw = fast_weights(gate="top")
    config = run_config(fw, growing_steps=10, gate_cost=0.5, context_share=0.0, empty_share=0.0)
    batches = BatchMaker(sampler(), config.train)
    assert [batches.batch(step, 0).gate_cost for step in (0, 9, 10, 30)] == [0, 0, 0.5, 0.5]
