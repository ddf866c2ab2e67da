"""The gate that is fitted to the training corpus before the first step."""

from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from scipy.optimize import minimize

from conversation_models import fast_weights, sampler, samples, single
from ttt_memory.conversation.config.training import RunConfig, TrainConfig
from ttt_memory.conversation.prompts.fact_places import fact_tokens
from ttt_memory.conversation.train.gate_fit import (
    PENALTY,
    TOP,
    directions,
    fit_gate,
    logistic_regression,
)
from ttt_memory.conversation.train.train_run import train
from ttt_memory.errors import UserError

STATED = {"update": "mesa", "key_norm": "l2"}


def gates(fw, ids):
    """Gates of the tokens `ids`, by layer `[T]`, as they are written."""
    opening = sampler().prompter.opening
    result = fw.write(input_ids=torch.tensor([opening + ids]))
    return {layer: gate[0, len(opening) :] for layer, gate in result.gates.items()}


@pytest.mark.parametrize("where", ["layer", "top"])
def test_directions_are_what_the_gate_is_computed_from(where):
    fw = fast_weights(gate=where, **STATED)
    with torch.no_grad():
        for layer in fw.fast.values():
            layer.gate_weight.normal_(std=0.1)
    ids = sampler().prompter.sessions(samples()[0])[0]
    text = ids, torch.ones(len(ids), dtype=torch.bool)
    found = directions(fw, sampler().prompter, (0, 1), [text])
    for layer, gate in gates(fw, ids).items():
        part = fw.fast[str(layer)]
        u = found[TOP if where == "top" else layer]
        expected = (u @ part.gate_weight + part.gate_bias).clamp(0, 1)
        torch.testing.assert_close(gate, expected)


def test_logistic_regression_agrees_with_another_search():
    generator = torch.Generator().manual_seed(0)
    u = torch.nn.functional.normalize(torch.randn(300, 6, generator=generator), dim=-1)
    positive = (u @ torch.arange(6.0) - 2 + torch.randn(300, generator=generator) > 0).float()

    def loss(x):
        w, b = torch.tensor(x[:6]), torch.tensor(x[6])
        odds = u.double() @ w + b
        losses = torch.nn.functional.softplus(torch.where(positive > 0, -odds, odds))
        fit = (losses[positive > 0].mean() + losses[positive == 0].mean()) / 2
        return (fit + PENALTY * w.square().sum()).item()

    weight, bias = logistic_regression(u[positive > 0], u[positive == 0])
    expected = minimize(loss, [0.0] * 7, tol=1e-10).x
    torch.testing.assert_close(
        torch.cat([weight, bias[None]]), torch.tensor(expected).float(), rtol=1e-2, atol=1e-2
    )


@pytest.mark.parametrize("where", ["layer", "top"])
def test_fitted_gate_opens_for_values_and_stays_closed_for_distractors(where):
    """On dialogues and passages that were not drawn for the fit."""
    data, fw = sampler(), fast_weights(gate=where, **STATED)
    unseen = samples(80)[20:40]  # `sampler` has the first twenty of a language
    fit_gate(fw, data)
    told, other = [], []
    for sample in unseen:
        ids, is_fact = fact_tokens(data.prompter, sample)
        told += [gate[is_fact] for gate in gates(fw, ids).values()]
        ids = data.passages.distractor(data.rng(1), sample.language, 100)
        other += list(gates(fw, ids).values())
    assert torch.cat(told).mean() > 5 * torch.cat(other).mean()


def test_fit_depends_on_nothing_but_corpus_and_seed():
    first, again = fast_weights(gate="layer", **STATED), fast_weights(gate="layer", **STATED)
    fit_gate(first, sampler())
    torch.rand(3)
    fit_gate(again, sampler())
    for one, other in zip(first.fast_parameters(), again.fast_parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_corpus_without_dialogues_is_refused():
    data = sampler()
    data.samples = []
    with pytest.raises(UserError, match=r"train\.fit_gate: no dialogue"):
        fit_gate(fast_weights(gate="layer", **STATED), data)


def test_a_corpus_without_places_is_refused():
    placeless = [
        replace(s, facts=tuple(replace(f, start=-1, end=-1) for f in s.facts)) for s in single()
    ]
    with pytest.raises(UserError, match=r"train\.fit_gate: no dialogue"):
        fit_gate(fast_weights(gate="layer", **STATED), sampler(chosen=placeless))


def test_training_begins_from_the_fitted_gate():
    """A run that learns nothing ends with it, and one that trains on does not."""
    config = {"layers": [0, 1], "chunk": 8, "gate": "layer", **STATED}
    gate = {}
    for fast_lr in (0, 0.01):
        plan = TrainConfig(
            fit_gate=True, steps=2, dialogues_per_step=2, optimiser={"fast_lr": fast_lr}
        )
        fw = fast_weights(gate="layer", **STATED)
        train(fw, sampler(), RunConfig(fast_weights=config, train=plan), Accelerator(cpu=True))
        gate[fast_lr] = fw.fast["0"].gate_weight.detach().clone()
    expected = fast_weights(gate="layer", **STATED)
    fit_gate(expected, sampler())
    assert torch.equal(gate[0], expected.fast["0"].gate_weight)
    assert not torch.equal(gate[0.01], gate[0])
    torch.testing.assert_close(gate[0.01], gate[0], rtol=0.1, atol=0.1)


def test_fit_without_a_gate_is_refused():
    with pytest.raises(ValueError, match=r"train\.fit_gate: expected false"):
        RunConfig(fast_weights={"layers": [0]}, train={"fit_gate": True})


def test_fit_of_the_gate_alone_needs_a_memory_to_start_from():
    gated = {"layers": [0], "gate": "layer"}
    with pytest.raises(ValueError, match="nothing but the gate"):
        RunConfig(fast_weights=gated, train={"fit_gate": True, "steps": 0})
    again = {"fit_gate": True, "steps": 0, "start": "some/folder"}
    assert RunConfig(fast_weights=gated, train=again).train.memory_is_trained
