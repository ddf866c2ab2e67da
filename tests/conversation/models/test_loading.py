"""Parts of pretraining: cut dialogues, the optimiser, the roughed-in copying circuit."""

import random
from itertools import pairwise

import pytest
import torch

from conversation_models import prompter, sampler, samples
from ttt_memory.conversation.config.base_model import ArchitectureConfig, BaseConfig
from ttt_memory.conversation.config.training import EpisodeConfig, StepMix
from ttt_memory.conversation.models.embedded import build_model, start_from
from ttt_memory.conversation.models.loading import load_model
from ttt_memory.conversation.train.corpus_sampler import crop
from ttt_memory.conversation.train.episodes import LONGEST, EpisodeMaker, growing_turns
from ttt_memory.conversation.train.muon import Muon, orthogonalise
from ttt_memory.errors import UserError


@pytest.mark.parametrize("turns", [2, 3, 5, 50])
def test_a_cut_dialogue_answers_what_is_asked_of_it(turns):
    for seed, sample in enumerate(samples()):
        cut = crop(sample, turns, random.Random(seed))
        assert cut.dialogue in sample.dialogue
        assert cut.dialogue.count("\n") <= max(turns, 1) or turns == 50
        assert cut.probes
        facts = {fact.fact_id: fact.value for fact in sample.facts}
        for probe in cut.probes:
            if len(probe.required_facts) == 1:
                assert facts[probe.required_facts[0]] in cut.dialogue


def test_dialogues_grow_from_two_turns_to_whole():
    grown = [growing_turns(step, 50) for step in range(60)]
    assert grown[0] == 2
    assert grown[50:] == [None] * 10
    assert all(a <= b <= LONGEST for a, b in pairwise(grown[:50]))


def test_a_list_probe_is_answered_by_its_own_value():
    packed = EpisodeMaker(sampler(), EpisodeConfig()).list_batch(random.Random(0), 3, pairs=4)
    for ids, labels in zip(packed.input_ids.tolist(), packed.labels.tolist(), strict=True):
        answer = [label for label in labels if label != -100]
        values, value = [], []
        for token in answer:
            if token == prompter().end:
                values, value = [*values, value], []
            else:
                value.append(token)
        assert len(values) == 4
        text = ",".join(map(str, ids))
        assert all(",".join(map(str, value)) in text for value in values)


def test_long_steps_hold_fewer_dialogues():
    mix = EpisodeConfig(step_mix=StepMix(plain=0, after=1), distractor_tokens=(800, 1000))
    packed = EpisodeMaker(sampler(), mix).context_batch(random.Random(0), 16)
    assert len(packed.input_ids) < 8
    assert packed.input_ids.shape[1] > 800


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 24, 8), (2, 8, 24)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
    assert values.min() > 0.3
    assert values.max() < 1.5


def test_orthogonalising_keeps_singular_vectors():
    torch.manual_seed(0)
    matrix = torch.randn(1, 6, 10, dtype=torch.float64)
    u, _, v = torch.linalg.svd(matrix[0], full_matrices=False)
    rotated = u.mT @ orthogonalise(matrix, steps=8)[0] @ v.mT
    off_diagonal = rotated - torch.diag(rotated.diagonal())
    assert off_diagonal.abs().max() < 1e-8


def test_muon_minimises_a_quadratic():
    torch.manual_seed(0)
    target, weight = torch.randn(6, 4), torch.nn.Parameter(torch.zeros(6, 4))
    optimiser = Muon([weight], lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        (weight - target).square().sum().backward()
        optimiser.step()
    assert (weight - target).norm() < 0.2 * target.norm()


def test_roughed_in_heads_look_back_and_match():
    architecture = ArchitectureConfig(num_hidden_layers=2, vocab_size=2048)
    model = build_model(architecture, prompter().tokenizer, 0).eval()
    model.set_attn_implementation("eager")
    torch.manual_seed(0)
    ids = torch.randint(300, len(prompter().tokenizer), (32, 40))
    ids[:, 25] = ids[:, 10]
    with torch.no_grad():
        first, second = model(ids, output_attentions=True).attentions
    assert first[:, 0].diagonal(-1, 1, 2)[:, 5:].mean() > 0.7
    at_successor = second[:, :2, 25].mean(1)[:, 11].mean()
    assert at_successor > 4 / 26  # a token of chance gets 1 / 26


def test_a_model_too_narrow_for_the_circuit_is_built_all_the_same():
    architecture = ArchitectureConfig(
        hidden_size=32, head_dim=16, num_attention_heads=2, num_key_value_heads=2, vocab_size=2048
    )
    assert build_model(architecture, prompter().tokenizer, 0).config.hidden_size == 32


def test_a_saved_model_loads_and_answers_the_same(tmp_path):
    architecture = ArchitectureConfig(num_hidden_layers=1, vocab_size=2048)
    model = build_model(architecture, prompter().tokenizer, 0).eval()
    model.save_pretrained(tmp_path)
    ids = torch.tensor([[300, 301]])
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path)(ids).logits, model(ids).logits)


def test_a_model_is_trained_on_with_the_rotary_frequencies_asked_for(tmp_path):
    built = {
        theta: build_model(
            ArchitectureConfig(num_hidden_layers=1, vocab_size=2048, rope_theta=theta),
            prompter().tokenizer,
            0,
        ).eval()
        for theta in (1e4, 1e6)
    }
    built[1e4].save_pretrained(tmp_path / "first")
    found = start_from(tmp_path / "first", BaseConfig(architecture={"rope_theta": 1e6}))
    found.save_pretrained(tmp_path / "second")
    # All but the frequencies is of the first.
    built[1e6].load_state_dict(built[1e4].state_dict())
    ids = torch.randint(300, 900, (1, 50), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, before = built[1e6](ids).logits, built[1e4](ids).logits
        assert torch.equal(found(ids).logits, expected)
        assert torch.equal(load_model(tmp_path / "second")(ids).logits, expected)
    assert not torch.allclose(expected, before, atol=1e-3)


def test_missing_and_unsafe_models_are_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="no such model folder"):
        load_model(tmp_path / "none")
    (tmp_path / "config.json").write_text("{}")
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="pickle checkpoints are refused"):
        load_model(tmp_path)


def test_a_hub_model_must_be_pinned():
    with pytest.raises(ValueError, match="revision"):
        BaseConfig(source="hub", hub_id="Qwen/Qwen3-8B")
