"""Typed configuration of how a run is asked."""

from typing import Annotated, Literal

from pydantic import Field

from ...options import Options
from ...vocabulary import ALTERNATIVES, CONDITIONS, SWEEPS
from .training import Count

Tokens = Annotated[int, Field(ge=0)]


class RecallConfig(Options):
    """How every run is asked."""

    conditions: tuple[Literal[*CONDITIONS], ...] = Field(
        tuple(CONDITIONS), min_length=1, description="The conditions that every run is asked under."
    )
    sweeps: tuple[Literal[*SWEEPS], ...] = Field(
        tuple(SWEEPS), description="The sweeps, each a condition at several settings."
    )
    scales: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (0.1, 0.25, 0.5, 0.75, 1.0),
        min_length=1,
        description="Sweep scale: the factors on the state.",
    )
    distances: tuple[Tokens, ...] = Field(
        (0, 100, 400, 1000, 2000, 4000),
        min_length=1,
        description="Sweep retention: the numbers of distractor tokens written after the dialogue.",
    )
    dialogues: tuple[Count, ...] = Field(
        (1, 2, 4, 8),
        min_length=1,
        description="Sweep capacity: the numbers of dialogues in one state.",
    )
    alternatives: tuple[Literal[*ALTERNATIVES], ...] = Field(
        tuple(name for name in ALTERNATIVES if name != "L"),
        description="Other ways to keep a dialogue, asked with the samples of the sweeps. L, which"
        " trains an adapter on every dialogue, takes many times as long as all others.",
    )
    alternative_distances: tuple[Tokens, ...] = Field(
        (0, 1000, 4000),
        min_length=1,
        description="Alternatives: the numbers of distractor tokens after the dialogue.",
    )
    alternative_samples: int = Field(
        64, ge=1, description="Largest number of level-1 samples that an alternative is asked."
    )
    budgets: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1),
        description="Alternatives K, K_gate and B_bytes: the bytes that are kept, as fractions of"
        " the KV cache of the dialogue. Everything is always kept once more.",
    )
    bits: tuple[Literal[8, 4, 2], ...] = Field(
        (8, 4, 2), min_length=1, description="Alternative Q: bits of each number of the KV cache."
    )
    turns: tuple[Count, ...] = Field(
        (1, 2, 4, 8), min_length=1, description="Alternative R: the numbers of turns put back."
    )
    lora_ranks: tuple[Count, ...] = Field(
        (8,), min_length=1, description="Alternative L: ranks of the adapter."
    )
    lora_steps: int = Field(
        30,
        ge=1,
        description="Alternative L: gradient steps on a text. Each is on one segment of it.",
    )
    lora_lr: float = Field(0.01, gt=0, description="Alternative L: learning rate of AdamW.")
    sweep_samples: int = Field(
        64,
        ge=1,
        description="Largest number of level-1 samples for each setting of a sweep.",
    )
    sweep_split: str = Field(
        "all_new", description="The split of the benchmark whose samples the sweeps ask."
    )
    shards: int = Field(
        1, ge=1, description="Number of jobs, and of files, that each condition is split into."
    )
    segment_tokens: int = Field(
        512,
        ge=16,
        description="While a long text is written, the KV cache is dropped after this many tokens.",
    )
    rows: int = Field(
        64,
        ge=1,
        description="Largest number of episodes asked at once. There are fewer where a GPU's free"
        " memory would not hold them, and half as many where memory runs out, which the log says.",
    )
    probe_rows: int = Field(512, ge=1, description="Largest number of probes answered at once.")
    context_tokens: int = Field(
        100_000,
        ge=1,
        description="Condition A: largest number of context tokens in the KV cache at once.",
    )
    max_new_tokens: int = Field(32, ge=1, description="Largest length of an answer, in tokens.")
    seed: int = Field(
        0, ge=0, description="Seed of the noise of N and of the distractors of sweep retention."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where recall runs.")
