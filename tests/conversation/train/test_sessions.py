"""Training on dialogues of several sessions, and on questions that nothing answers."""

import random
from dataclasses import replace

import pytest
import torch

from conversation_models import fast_weights, prompter, single
from ttt_memory.benchmark.sample import REFUSALS, UNANSWERABLE, Probe
from ttt_memory.conversation.config.training import EpisodeConfig, StepMix, TrainConfig
from ttt_memory.conversation.prompts.packing import IGNORE
from ttt_memory.conversation.train.batches import BatchMaker
from ttt_memory.conversation.train.corpus_sampler import CorpusSampler, crop
from ttt_memory.conversation.train.episodes import EpisodeMaker, asked_of
from ttt_memory.conversation.train.objective import Objective


def in_two(sample, number=0):
    """The same sample, its dialogue told in two sessions."""
    lines = sample.sessions[0].splitlines(keepends=True)
    half = len("".join(lines[: len(lines) // 2]))
    facts = tuple(
        fact
        if fact.start < half
        else replace(fact, session=1, start=fact.start - half, end=fact.end - half)
        for fact in sample.facts
    )
    whole = sample.sessions[0]
    return replace(
        sample, sample_id=f"two-{number}", sessions=(whole[:half], whole[half:]), facts=facts
    )


def two_sessions():
    return [in_two(sample, number) for number, sample in enumerate(single()[:12])]


def of(chosen, foreign=0, most=4):
    """A sampler of the samples `chosen`, and the maker of its episodes."""
    found = CorpusSampler(chosen, {"zh": ["."], "en": ["."]}, prompter(), 0, most)
    return found, EpisodeMaker(found, EpisodeConfig(foreign_probes=foreign))


def answers(packed, row):
    """The answers of a packed row, as lists of token ids."""
    found, answer = [], []
    for label in packed.labels[row].tolist():
        if label != IGNORE:
            answer.append(label)
        if answer and label == prompter().end:
            found, answer = [*found, answer], []
    return found


def refusal(language):
    return [*prompter().ids([REFUSALS[language]])[0], prompter().end]


def test_each_session_is_written_by_itself_and_asked_in_context_as_a_whole():
    found, _ = of(two_sessions())
    config = TrainConfig(context_share=0, empty_share=0, dialogues_per_step=3)
    batch = BatchMaker(found, config).batch(0, 0)
    assert len(batch.texts) == 2
    assert not any(text.packed.has_probes for text in batch.texts)
    length = [text.written.sum(1) for text in batch.texts]
    context = (batch.context.segment == 0).sum(1)
    assert torch.equal(length[0] + length[1], context)
    assert [answers(batch.context, row) for row in range(3)] == [
        answers(batch.packed, row) for row in range(3)
    ]


def test_a_row_without_a_second_session_keeps_its_state():
    fw = fast_weights()
    short, long = single()[0], in_two(single()[1])
    encoded = prompter().encode([short, long])
    found, _ = of([short, long])
    maker = BatchMaker(found, TrainConfig())
    texts = maker._dialogues(encoded)
    alone = maker._dialogues(encoded[:1])
    with torch.no_grad():
        state, _ = Objective(fw, TrainConfig())._write(texts)
        one, _ = Objective(fw, TrainConfig())._write(alone)
    for layer in fw.config.layers:
        both, single_row = state.layers[layer].written, one.layers[layer].written
        z = torch.randn(1, 5, single_row.sizes[1])
        torch.testing.assert_close(
            both.index(torch.tensor([0])).read(z), single_row.read(z), atol=1e-5, rtol=1e-4
        )


def test_training_on_sessions_reaches_the_gate_and_the_base():
    fw = fast_weights(gate="top")
    found, _ = of(two_sessions(), foreign=1)
    config = TrainConfig(context_share=0, empty_share=0, dialogues_per_step=3)
    losses = Objective(fw, config)(BatchMaker(found, config).batch(0, 0))
    losses.total.backward()
    assert losses.context > 0
    assert fw.model.get_input_embeddings().weight.grad.abs().sum() > 0


def test_questions_about_another_dialogue_are_refused():
    found, maker = of(single()[:8], foreign=2)
    examples = [e for e in found.draw(random.Random(0), 6) if e.language == "zh"][:3]
    assert len(examples) >= 2
    packed = maker.probes([[e] for e in examples], [e.context for e in examples])
    for row, example in enumerate(examples):
        following = examples[(row + 1) % len(examples)]
        if following.skeleton == example.skeleton != "synthetic":
            continue
        assert refusal("zh") in answers(packed, row)
        assert answers(packed, row)[: len(example.answers)] == example.answers


def test_no_question_of_the_same_skeleton_counts_as_foreign():
    _, maker = of(single()[:8], foreign=2)
    encoded = [
        replace(e, skeleton="en-one", language="en") for e in prompter().encode(single()[:2])
    ]
    packed = maker.probes([[e] for e in encoded])
    assert all(refusal("en") not in answers(packed, row) for row in range(2))


def test_condition_c_learns_to_refuse():
    found, maker = of(single()[:8])
    examples = found.draw(random.Random(1), 3)
    packed = maker.refused(examples)
    for row, example in enumerate(examples):
        assert answers(packed, row) == [refusal(example.language)] * len(example.questions)


def unanswerable(sample):
    probe = Probe("X1", "?", REFUSALS[sample.language], UNANSWERABLE, (), "unknown")
    return replace(sample, probes=(*sample.probes[:1], probe))


def test_unanswerable_questions_are_asked_about_one_dialogue_only():
    examples = prompter().encode([unanswerable(s) for s in single()[:2]])
    assert len(asked_of(examples[:1])) == 2
    assert all(answer != examples[0].refusal for _, answer in asked_of(examples))


@pytest.mark.parametrize("turns", [2, 5])
def test_cropping_keeps_the_session_of_its_fact_and_what_nothing_answers(turns):
    for seed, sample in enumerate(two_sessions()):
        cut = crop(unanswerable(sample), turns, random.Random(seed))
        assert len(cut.sessions) == 1
        assert any(cut.sessions[0] in session for session in sample.sessions)
        assert cut.probes[-1].kind == UNANSWERABLE
        facts = {fact.fact_id: fact.value for fact in sample.facts}
        for probe in cut.probes[:-1]:
            assert all(facts[name] in cut.sessions[0] for name in probe.required_facts)


def test_the_texts_of_a_step_have_as_many_sessions_in_all_micro_batches():
    """Processes that share a sharded model must run through its layers equally often."""
    found, _ = of([*two_sessions(), *single()])
    mix = EpisodeConfig(step_mix=StepMix(plain=1, several=1), several=(2, 3))
    config = TrainConfig(context_share=0, empty_share=0, dialogues_per_step=6, episode=mix)
    batches, shapes = BatchMaker(found, config), set()
    for step in range(40):
        first, second = batches.batch(step, 0), batches.batch(step, 1)
        assert len(first.texts) == len(second.texts)
        assert (first.context is None) == (second.context is None)
        shapes.add((len(first.texts), first.context is None))
    assert len(shapes) > 4


def test_a_dialogue_that_cannot_be_cut_becomes_one_session():
    sample = two_sessions()[0]
    whole = crop(replace(sample, facts=()), 2, random.Random(0))
    assert whole.sessions == ("".join(sample.sessions),)
    assert whole.probes == sample.probes


def test_kinds_of_episodes_with_sessions():
    found, _ = of(two_sessions())
    mix = EpisodeConfig(step_mix=StepMix(plain=0, several=1), several=(2, 2))
    config = TrainConfig(context_share=0, empty_share=0, dialogues_per_step=4, episode=mix)
    batch = BatchMaker(found, config).batch(0, 0)
    assert len(batch.texts) == 4  # two dialogues of two sessions each
    assert len(batch.context.input_ids) == 4
