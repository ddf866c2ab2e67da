"""Typed configuration of how a run is asked."""

from typing import Annotated, Literal

from pydantic import Field

from ...options import Options
from ...vocabulary import CONDITIONS, SWEEPS
from .training import Count

Tokens = Annotated[int, Field(ge=0)]


class RecallConfig(Options):
    """How every run is questioned."""

    conditions: tuple[Literal[*CONDITIONS], ...] = Field(
        tuple(CONDITIONS), min_length=1, description="Conditions, see README."
    )
    sweeps: tuple[Literal[*SWEEPS], ...] = Field(
        tuple(SWEEPS), description="Sweeps over one setting."
    )
    scales: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (0.1, 0.25, 0.5, 0.75, 1.0),
        min_length=1,
        description="Factors on the written state (sweep scale).",
    )
    distances: tuple[Tokens, ...] = Field(
        (0, 100, 400, 1000, 2000, 4000),
        min_length=1,
        description="Distractor tokens written after (sweep retention).",
    )
    dialogues: tuple[Count, ...] = Field(
        (1, 2, 4, 8), min_length=1, description="Dialogues written into one state (sweep capacity)."
    )
    sweep_samples: int = Field(64, ge=1, description="Level-1 samples per sweep setting, at most.")
    sweep_split: str = Field("heldout_values", description="Benchmark split the sweeps use.")
    shards: int = Field(1, ge=1, description="Files a condition is split into, by sample.")
    segment_tokens: int = Field(
        512,
        ge=16,
        description="The reader drops its KV cache after this many tokens of a long text.",
    )
    rows: int = Field(
        64,
        ge=1,
        description="Dialogues read at once, at most: fewer where a GPU's free memory would not"
        " hold them, and half as many, said in the log, where memory runs out.",
    )
    probe_rows: int = Field(512, ge=1, description="Probes answered at once.")
    context_tokens: int = Field(
        100_000, ge=1, description="Condition A: context tokens in the KV cache at once."
    )
    max_new_tokens: int = Field(32, ge=1, description="Longest answer, tokens.")
    seed: int = Field(0, ge=0, description="Seed of the controls W and N and of sweep distractors.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where recall runs.")
