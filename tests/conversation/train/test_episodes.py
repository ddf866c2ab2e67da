"""Episodes: cut dialogues, lists of keys and values, and the size of steps."""

import random
from itertools import pairwise

import pytest

from conversation_models import prompter, sampler, samples
from ttt_memory.conversation.config.training import EpisodeConfig, StepMix
from ttt_memory.conversation.prompts.packing import IGNORE
from ttt_memory.conversation.train.corpus_sampler import crop
from ttt_memory.conversation.train.episodes import LONGEST, EpisodeMaker, growing_turns


@pytest.mark.parametrize("turns", [2, 3, 5, 50])
def test_a_cut_dialogue_holds_the_answers_of_its_probes(turns):
    for seed, sample in enumerate(samples()):
        cut = crop(sample, turns, random.Random(seed))
        assert any(cut.sessions[0] in session for session in sample.sessions)
        assert cut.sessions[0].count("\n") <= max(turns, 1) or turns == 50
        assert cut.probes
        facts = {fact.fact_id: fact.value for fact in sample.facts}
        for probe in cut.probes:
            if len(probe.required_facts) == 1:
                assert facts[probe.required_facts[0]] in cut.sessions[0]


def test_dialogues_grow_from_two_turns_to_their_full_length():
    grown = [growing_turns(step, 50) for step in range(60)]
    assert grown[0] == 2
    assert grown[50:] == [None] * 10
    assert all(a <= b <= LONGEST for a, b in pairwise(grown[:50]))


def test_each_probe_of_a_list_is_answered_by_a_value_of_the_list():
    packed = EpisodeMaker(sampler(), EpisodeConfig()).list_batch(random.Random(0), 3, pairs=4)
    for ids, labels in zip(packed.input_ids.tolist(), packed.labels.tolist(), strict=True):
        answer = [label for label in labels if label != IGNORE]
        values, value = [], []
        for token in answer:
            if token == prompter().end:
                values, value = [*values, value], []
            else:
                value.append(token)
        assert len(values) == 4
        text = ",".join(map(str, ids))
        assert all(",".join(map(str, value)) in text for value in values)


def test_steps_with_long_distractors_hold_fewer_dialogues():
    mix = EpisodeConfig(step_mix=StepMix(plain=0, after=1), distractor_tokens=(800, 1000))
    packed = EpisodeMaker(sampler(), mix).context_batch(random.Random(0), 16)
    assert len(packed.input_ids) < 8
    assert packed.input_ids.shape[1] > 800
