"""Tiny dialogues, tokenizer and model for the tests of the conversation study."""

import random
from functools import cache
from itertools import islice

import torch

from ttt_memory.benchmark import Sample, corpus, distractors
from ttt_memory.conversation.config.base_model import ArchitectureConfig
from ttt_memory.conversation.models.embedded import build_model, train_tokenizer
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.train.corpus_sampler import CorpusSampler
from ttt_memory.fast_weights import FastWeights, FastWeightsConfig, inject

ARCHITECTURE = ArchitectureConfig(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=2,
    head_dim=16,
    vocab_size=2048,
)


@cache
def samples(count: int = 40) -> list[Sample]:
    """Training dialogues, half of each language."""
    found = [islice(corpus.dialogues(language, 0), count // 2) for language in ("zh", "en")]
    return [sample for part in found for sample in part]


@cache
def passages() -> dict[str, list[str]]:
    """Training passages of both languages."""
    rng = random.Random(0)
    draw = distractors.passage
    return {name: [draw(rng, name, "train")[1] for _ in range(20)] for name in ("zh", "en")}


@cache
def prompter() -> Prompter:
    """Prompts for a tokenizer that is trained on those texts."""
    texts = [s.sessions[0] for s in samples()] + [t for part in passages().values() for t in part]
    return Prompter(train_tokenizer(texts, ARCHITECTURE.vocab_size))


def single() -> list[Sample]:
    """The training dialogues of one session."""
    return [sample for sample in samples() if len(sample.sessions) == 1]


def sampler(seed: int = 0, chosen: list[Sample] | None = None) -> CorpusSampler:
    """A sampler over those texts, or over the dialogues `chosen`."""
    return CorpusSampler(chosen or samples(), passages(), prompter(), seed, 4)


def model(seed: int = 0):
    """A tiny Qwen3 with random weights, for that tokenizer."""
    return build_model(ARCHITECTURE, prompter().tokenizer, seed).eval()


def fast_weights(seed: int = 0, **config) -> FastWeights:
    """That model with fast weights in both layers."""
    return inject(model(seed), FastWeightsConfig(layers=(0, 1), chunk=8, **config)).eval()


def learned_fast_weights(seed: int = 0, **config) -> FastWeights:
    """The same after a change of every learned part: none of them is as it was made."""
    fw = fast_weights(seed, **config)
    with torch.no_grad():
        for parameter in fw.fast_parameters():
            parameter.add_(0.01)
    return fw
