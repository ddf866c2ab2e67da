"""Typed configuration of training runs and of pretraining."""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from ...fast_weights.config import FastWeightsConfig
from ...options import Options

Count = Annotated[int, Field(ge=1)]

Seed = Annotated[int, Field(ge=0)]


class OptimiserConfig(Options):
    """Muon on the matrices of the base, AdamW on everything else, factors of LoRA included."""

    muon_lr: float = Field(0.02, ge=0, description="Peak Muon learning rate of 2-D base weights.")
    adam_lr: float = Field(
        0.004, ge=0, description="Peak AdamW rate of embeddings, vectors and LoRA factors."
    )
    fast_lr: float = Field(
        0.004, ge=0, description="Peak AdamW rate of the fast-weight parameters."
    )
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay of both optimisers.")
    clip: float = Field(1.0, gt=0, description="Global gradient-norm limit.")
    warmup: float = Field(0.02, ge=0, le=1, description="Share of the steps with rising rate.")
    cooldown: float = Field(0.4, ge=0, le=1, description="Share of the steps with falling rate.")


class StepMix(Options):
    """Relative frequency of what is read before the probes of a step are asked."""

    plain: float = Field(1.0, ge=0, description="One dialogue.")
    after: float = Field(0.0, ge=0, description="One dialogue, then distractor text.")
    before: float = Field(0.0, ge=0, description="Distractor text, then one dialogue.")
    several: float = Field(
        0.0, ge=0, description="Several dialogues into one state; all are asked."
    )

    @model_validator(mode="after")
    def _something_is_read(self) -> "StepMix":
        if not any(self.model_dump().values()):
            raise ValueError("every frequency is 0, expected one above it")
        return self


class EpisodeConfig(Options):
    """What a training step reads before it asks."""

    step_mix: StepMix = Field(StepMix(), description="Kinds of steps.")
    several: tuple[Count, Count] = Field(
        (2, 4), description="Dialogues of a `several` step, from and to."
    )
    distractor_tokens: tuple[Count, Count] = Field(
        (30, 250), description="Tokens of distractor text in a step, drawn log-uniformly."
    )
    distractor_weight: float = Field(
        16.0,
        ge=1,
        description="Largest factor on a distractor's write, drawn log-uniformly from 1.",
    )

    @model_validator(mode="after")
    def _from_and_to(self) -> "EpisodeConfig":
        for key in ("several", "distractor_tokens"):
            low, high = getattr(self, key)
            if low > high:
                raise ValueError(f"{key}: found [{low}, {high}], expected the smaller number first")
        return self


class PretrainConfig(Options):
    """How the embedded base learns to answer from a dialogue that it sees (condition A)."""

    seed: int = Field(0, ge=0, description="Seed of initial weights and of the order of the data.")
    start: str = Field(
        "",
        description="Hub-format folder whose weights and tokenizer are trained on, relative to"
        " the repository; empty: random weights and a tokenizer of the corpus.",
    )
    steps: int = Field(2000, ge=1, description="Optimiser steps.")
    dialogues_per_step: tuple[Count, Count] = Field(
        (8, 32), description="Dialogues in a step, at the first and at the last step."
    )
    probes_per_dialogue: int = Field(8, ge=1, description="Most probes asked of a dialogue.")
    episode: EpisodeConfig = Field(
        EpisodeConfig(
            step_mix=StepMix(plain=8, after=1, before=0.5, several=1), distractor_tokens=(30, 4000)
        ),
        description="What is read before the probes.",
    )
    list_steps: int = Field(
        120, ge=0, description="First steps, spent on copying from lists of random keys and values."
    )
    growing_steps: int = Field(
        400, ge=0, description="Steps after those, in which dialogues grow from two turns to all."
    )
    lm_weight: float = Field(
        0.1, ge=0, description="Weight of the next-token loss of what is read (every 8th step)."
    )
    optimiser: OptimiserConfig = OptimiserConfig()
    workers: int = Field(0, ge=0, description="Processes that make batches; 0 makes them in place.")
    checkpoint_every: int = Field(
        500, ge=1, description="Steps between checkpoints to resume from."
    )


Target = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

TARGETS: tuple[Target, ...] = get_args(Target)


class LoraConfig(Options):
    """Low-rank adapters on the base (regime: lora): W + alpha / rank B A, A and B trained."""

    rank: int = Field(16, ge=1, description="Rank of each adapter.")
    alpha: float = Field(32.0, gt=0, description="Scale of an adapter, divided by its rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on an adapter's input.")
    target_modules: tuple[Target, ...] = Field(
        TARGETS, min_length=1, description="Linear maps of every layer that get an adapter."
    )


class TrainConfig(Options):
    """One training regime."""

    regime: Literal["frozen", "lora", "joint"] = Field(
        "joint",
        description="frozen: only the fast-weight parameters train; lora: low-rank adapters on the"
        " base too; joint: the whole base too.",
    )
    lora: LoraConfig = Field(LoraConfig(), description="The adapters (regime: lora).")
    objective: Literal["lm", "write_drop_read", "mixed"] = Field(
        "write_drop_read",
        description="lm: next token of transcripts, or of own texts; write_drop_read: write, drop,"
        " read; mixed: both.",
    )
    keep_context: bool = Field(
        False,
        description="Leave the dialogue in the KV cache while the probes are asked (control).",
    )
    steps: int = Field(600, ge=1, description="Optimiser steps.")
    dialogues_per_step: int = Field(16, ge=1, description="Dialogues in a step.")
    probes_per_dialogue: int = Field(
        8, ge=1, description="Most probes asked of a dialogue in a step."
    )
    growing_steps: int = Field(
        0, ge=0, description="First steps, in which dialogues to recall grow from two turns to all."
    )
    context_weight: float = Field(
        1.0,
        ge=0,
        description="Weight of condition A's loss on the dialogues that a write_drop_read step"
        " writes (regime: joint or lora); 0 leaves A to `context_share`.",
    )
    gate_cost: float = Field(
        0.0,
        ge=0,
        description="Price of writing: weight of the share of the tokens read in a"
        " write_drop_read step that share in the writing, (sum s)^2 / (n sum s^2) of their"
        " strengths, so that the gate opens only where it helps the answers; none during"
        " `growing_steps`.",
    )
    share_distractors: bool = Field(
        False,
        description="In after and before steps, every dialogue of a micro-batch is asked after the"
        " distractors of all of them: N dialogues with T tokens each after N T. For rules without"
        " order that are not read while writing: update hebbian with decay 1, or mesa. The memories"
        " are dense: each layer holds about 2 N ff (ff + d) numbers for the backward pass.",
    )
    context_share: float = Field(
        0.1, ge=0, le=1, description="Share of steps that are condition A alone, distractors too."
    )
    empty_share: float = Field(0.02, ge=0, le=1, description="Share of steps that are condition C.")
    lm_weight: float = Field(
        0.1, ge=0, description="Weight of the next-token loss (objective: mixed)."
    )
    episode: EpisodeConfig = Field(EpisodeConfig(), description="What is read before the probes.")
    optimiser: OptimiserConfig = OptimiserConfig()
    mixed_precision: Literal["no", "bf16"] = Field(
        "no", description="Accelerate's mixed precision."
    )
    accumulation: int = Field(1, ge=1, description="Micro-batches in an optimiser step.")
    gradient_checkpointing: bool = Field(
        False,
        description="Recompute each layer's activations in the backward pass: less memory, a"
        " further forward pass.",
    )
    workers: int = Field(0, ge=0, description="Processes that make batches; 0 makes them in place.")
    checkpoint_every: int = Field(
        200, ge=1, description="Steps between checkpoints to resume from."
    )


class RunConfig(Options):
    """A named training regime that goes through every condition."""

    label: str = Field("", description="Name in tables and figures; empty: the name of the run.")
    differs: str = Field(
        "",
        description="The one change from run `write-drop-read` (attribution table); '' for none.",
    )
    seeds: tuple[Seed, ...] = Field(
        (0,), min_length=1, description="Training seeds, one model each."
    )
    fast_weights: FastWeightsConfig = Field(description="Where and how the fast weights learn.")
    train: TrainConfig = Field(TrainConfig(), description="How the run is trained.")
    sweeps: bool = Field(True, description="Run the sweeps for this run.")

    @model_validator(mode="after")
    def _shared_without_order(self) -> "RunConfig":
        rule, train = self.fast_weights, self.train
        ordered = rule.update == "delta" or rule.decay < 1 or rule.read_while_writing
        if train.share_distractors and train.objective != "lm" and ordered:
            raise ValueError(
                "train.share_distractors sums what was written apart: expected it to be false, or "
                "fast_weights.update hebbian or mesa, decay 1 and read_while_writing false"
            )
        return self
