"""Keeping what the base says otherwise: the texts it writes, and the divergence from it."""

import pytest
import torch
from accelerate import Accelerator
from pydantic import ValidationError
from torch.nn import functional as F

from conversation_models import model, passages, prompter, samples
from trained_runs import run_config
from ttt_memory.conversation.config.base_model import BaseTextsConfig
from ttt_memory.conversation.config.training import LoraConfig, TrainConfig
from ttt_memory.conversation.models import lora
from ttt_memory.conversation.prompts.packing import pack
from ttt_memory.conversation.train.base_texts import write_texts
from ttt_memory.conversation.train.batches import Batch, BatchMaker
from ttt_memory.conversation.train.corpus_sampler import CorpusSampler
from ttt_memory.conversation.train.objective import Objective
from ttt_memory.conversation.train.train_run import choose_trained, train
from ttt_memory.fast_weights import FastWeightsConfig, inject

CONFIG = BaseTextsConfig(count=40, tokens=24)


def keeping(weight: float = 1.0, drift: float = 0.0) -> tuple[Objective, CorpusSampler]:
    """An objective with adapters that have moved by `drift`, and what its batches draw from."""
    base = model()
    lora.adapt(base, LoraConfig(rank=2))
    for name, factor in base.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(factor, std=drift) if drift else None
    fw = inject(base, FastWeightsConfig(layers=(0, 1), chunk=8, lr=0.5))
    choose_trained(fw, "lora")
    config = TrainConfig(regime="lora", keep_weight=weight, dialogues_per_step=4)
    texts = [row["ids"] for row in write_texts(model(), prompter(), CONFIG)]
    data = CorpusSampler(samples(), passages(), prompter(), 0, 4, base_texts=texts)
    return Objective(fw.eval(), config), data


def test_the_base_writes_as_many_texts_as_asked_and_the_same_again():
    rows = list(write_texts(model(), prompter(), CONFIG))
    assert rows == list(write_texts(model(), prompter(), CONFIG))
    assert len(rows) == CONFIG.count
    assert all(2 < len(row["ids"]) <= CONFIG.tokens for row in rows)
    assert {row["kind"] for row in rows} == {"text"}  # this model has no chat template


def test_every_batch_brings_a_kept_text_for_each_row():
    objective, data = keeping()
    batches = BatchMaker(data, objective.config)
    for step in range(6):
        batch = batches.batch(step, 0)
        assert len(batch.kept.input_ids) == len(batch.packed.input_ids)
        rows = zip(batch.kept.input_ids, batch.kept.segment, strict=True)
        assert all(ids[segment == 0].tolist() in data.base_texts for ids, segment in rows)
    without = BatchMaker(data, objective.config.model_copy(update={"keep_weight": 0.0}))
    assert without.batch(0, 0).kept is None
    assert torch.equal(without.batch(0, 0).packed.input_ids, batches.batch(0, 0).packed.input_ids)


def kept_alone(objective: Objective, batch: Batch) -> torch.Tensor:
    """What the kept texts add to the loss."""
    whole = objective(batch).total
    batch.kept = None
    return whole - objective(batch).total


def test_an_adapter_that_changes_nothing_diverges_only_by_what_was_written():
    objective, data = keeping()
    nothing = pack([data.base_texts[0]], [[]], [[]])
    probes = pack([[]], [[[5, 6]]], [[[7, 8]]])
    alone = kept_alone(objective, Batch("empty", packed=probes, kept=nothing))
    assert alone.item() == pytest.approx(0, abs=1e-5)
    written = BatchMaker(data, objective.config).batch(3, 0)
    assert written.texts
    assert kept_alone(objective, written).item() > 1e-4


def test_the_divergence_is_that_of_the_two_models_read_one_by_one():
    objective, data = keeping(weight=2.0, drift=0.3)
    texts, model_of = data.base_texts[:3], objective.fw
    probes = pack([[]] * 3, [[[5, 6]]] * 3, [[[7, 8]]] * 3)
    batch = Batch("empty", packed=probes, kept=pack(texts, [[]] * 3, [[]] * 3))
    found = []
    with torch.no_grad():
        for text in texts:
            ids = torch.tensor([text])
            base = F.softmax(model()(ids).logits[0, :-1], -1)
            adapted = F.softmax(model_of.plain(ids).logits[0, :-1], -1)
            found.append((base * (base / adapted).log()).sum(-1))
    expected = 2.0 * torch.cat(found).mean()
    assert kept_alone(objective, batch).item() == pytest.approx(expected.item(), rel=1e-3)


def test_its_gradient_reaches_adapters_and_fast_weights_and_not_the_base():
    objective, data = keeping(drift=0.3)
    kept_alone(objective, BatchMaker(data, objective.config).batch(3, 0)).backward()
    grown = {n for n, p in objective.fw.named_parameters() if p.grad is not None and p.grad.any()}
    assert any("lora_" in name for name in grown)
    assert any(name.startswith("fast.") for name in grown)
    assert not any("lora_" not in name and name.startswith("model.") for name in grown)


def test_without_adapters_the_model_is_the_base_and_what_was_trained_still_is():
    objective, data = keeping(drift=0.3)
    adapted, ids = objective.fw.model, torch.tensor([data.base_texts[0]])
    trained = {n for n, p in adapted.named_parameters() if p.requires_grad}
    with lora.without(adapted), torch.no_grad():
        assert torch.equal(adapted(ids).logits, model()(ids).logits)
    assert not torch.equal(adapted(ids).logits, model()(ids).logits)
    assert {n for n, p in adapted.named_parameters() if p.requires_grad} == trained
    adapted.requires_grad_(False)
    with lora.without(adapted):
        pass
    assert not any(p.requires_grad for p in adapted.parameters())


def test_a_run_that_keeps_ends_closer_to_the_base():
    def after(weight: float) -> float:
        objective, data = keeping(weight)
        changes = {"steps": 20, "regime": "lora", "keep_weight": weight}
        run = run_config(objective.fw, **changes)
        train(objective.fw, data, run, Accelerator(cpu=True))
        told = BatchMaker(data, objective.config.model_copy(update={"keep_weight": 1.0}))
        measured = Objective(objective.fw, told.config)
        with torch.no_grad():
            batches = [told.batch(step, 0) for step in range(50, 54)]
            return sum(kept_alone(measured, batch).item() for batch in batches)

    assert after(10.0) < 0.9 * after(0.0)


def test_what_cannot_be_kept_is_refused():
    with pytest.raises(ValidationError, match="keep_weight: expected 0 in regime joint"):
        TrainConfig(regime="joint", keep_weight=1.0)
    with pytest.raises(ValidationError, match="objective 'lm'"):
        TrainConfig(regime="lora", objective="lm", keep_weight=1.0)
