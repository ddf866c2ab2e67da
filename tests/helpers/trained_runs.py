"""Tiny runs that are really trained."""

import torch
from accelerate import Accelerator

from conversation_models import fast_weights, sampler
from ttt_memory.conversation.config.training import EpisodeConfig, RunConfig, StepMix, TrainConfig
from ttt_memory.conversation.train.train_run import train

MIX = StepMix(plain=1, after=1, before=1, several=1)


def run_config(fw, **changes):
    settings = {
        "steps": 6,
        "dialogues_per_step": 4,
        "episode": EpisodeConfig(step_mix=MIX),
        **changes,
    }
    return RunConfig(label="test", fast_weights=fw.config, train=TrainConfig(**settings))


def trained(checkpoints=None, seed=0, config=None, **changes):
    torch.manual_seed(seed)
    fw = fast_weights(seed, **(config or {}))
    rows = train(fw, sampler(seed), run_config(fw, **changes), Accelerator(cpu=True), checkpoints)
    return fw, rows


def losses(rows):
    return [row["loss"] for row in rows]
