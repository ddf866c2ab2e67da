"""Typed configuration of training runs and of pretraining."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from ...fast_weights.config import CONFIG, FastWeightsConfig
from ...options import InputPath, Options

Count = Annotated[int, Field(ge=1)]

Seed = Annotated[int, Field(ge=0)]


class OptimiserConfig(Options):
    """Muon trains the matrices of the base; AdamW trains the rest, LoRA factors included."""

    muon_lr: float = Field(
        0.02, ge=0, description="Peak learning rate of Muon, which trains 2-D weights of the base."
    )
    adam_lr: float = Field(
        0.004,
        ge=0,
        description="Peak learning rate of AdamW for embeddings, vectors and LoRA factors.",
    )
    fast_lr: float = Field(
        0.004,
        ge=0,
        description="Peak learning rate of AdamW for the parameters of the fast weights.",
    )
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay of both optimisers.")
    clip: float = Field(
        1.0, gt=0, description="Largest norm of the whole gradient; a larger one is scaled down."
    )
    warmup: float = Field(
        0.02, ge=0, le=1, description="Share of the steps in which the learning rate rises."
    )
    cooldown: float = Field(
        0.4, ge=0, le=1, description="Share of the steps in which the learning rate falls."
    )


class StepMix(Options):
    """Relative frequencies of the kinds of episodes."""

    plain: float = Field(1.0, ge=0, description="One dialogue.")
    after: float = Field(0.0, ge=0, description="One dialogue, then distractor text.")
    before: float = Field(0.0, ge=0, description="Distractor text, then one dialogue.")
    several: float = Field(
        0.0, ge=0, description="Several dialogues in one state; the probes of all are asked."
    )

    @model_validator(mode="after")
    def _some_kind_is_drawn(self) -> "StepMix":
        if not any(self.model_dump().values()):
            raise ValueError("every frequency is 0, expected one above it")
        return self


class EpisodeConfig(Options):
    """The texts of a training episode, which are written or put in context before its probes."""

    step_mix: StepMix = Field(
        StepMix(), description="Relative frequencies of the kinds of episodes."
    )
    several: tuple[Count, Count] = Field(
        (2, 4),
        description="Smallest and largest number of dialogues in an episode of kind `several`.",
    )
    distractor_tokens: tuple[Count, Count] = Field(
        (30, 250),
        description="Smallest and largest number of distractor tokens in an episode. The number is"
        " drawn log-uniformly.",
    )
    foreign_probes: int = Field(
        0,
        ge=0,
        description="Largest number of questions about another dialogue that are asked too. The"
        " right answer to them is the refusal.",
    )
    distractor_weight: float = Field(
        16.0,
        ge=1,
        description="Largest factor on the write of a distractor. The factor is drawn"
        " log-uniformly, from 1 upwards. Pretraining writes nothing and does not use it.",
    )

    @model_validator(mode="after")
    def _ranges_ascend(self) -> "EpisodeConfig":
        for key in ("several", "distractor_tokens"):
            low, high = getattr(self, key)
            if low > high:
                raise ValueError(f"{key}: found [{low}, {high}], expected the smaller number first")
        return self


class PretrainConfig(Options):
    """How the embedded base model learns to answer from a dialogue in its context (condition A)."""

    seed: int = Field(
        0, ge=0, description="Seed of the initial weights and of the order of the data."
    )
    start: InputPath = Field(
        "",
        description="Folder in Hub format, whose model and tokenizer are trained further."
        " Empty: random weights and a tokenizer made from the corpus.",
    )
    steps: int = Field(2000, ge=1, description="Number of optimiser steps.")
    dialogues_per_step: tuple[Count, Count] = Field(
        (8, 32),
        description="Number of dialogues in the first and in the last step. Steps between them"
        " interpolate.",
    )
    probes_per_dialogue: int = Field(
        8, ge=1, description="Largest number of probes asked about one dialogue in a step."
    )
    episode: EpisodeConfig = Field(
        EpisodeConfig(
            step_mix=StepMix(plain=8, after=1, before=0.5, several=1), distractor_tokens=(30, 4000)
        ),
        description="The texts put in context before the probes.",
    )
    list_steps: int = Field(
        120,
        ge=0,
        description="Number of first steps, in which the model learns to copy. Their contexts are"
        " lists of random keys and values.",
    )
    growing_steps: int = Field(
        400,
        ge=0,
        description="Number of steps after those, in which dialogues grow from two turns to their"
        " full length.",
    )
    lm_weight: float = Field(
        0.1,
        ge=0,
        description="Weight of the next-token loss on the context, which every 8th step adds.",
    )
    optimiser: OptimiserConfig = OptimiserConfig()
    workers: int = Field(
        0, ge=0, description="Number of processes that make batches. 0: the training process."
    )
    checkpoint_every: int = Field(
        500, ge=1, description="Number of steps between checkpoints, from which a run can resume."
    )


Target = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

TARGETS: tuple[Target, ...] = get_args(Target)


class LoraConfig(Options):
    """Low-rank adapters on the base (regime: lora): W + alpha / rank B A; A and B are trained."""

    rank: int = Field(16, ge=1, description="Rank of each adapter.")
    alpha: float = Field(32.0, gt=0, description="Scale of an adapter, before division by rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout rate on the input of an adapter.")
    target_modules: tuple[Target, ...] = Field(
        TARGETS, min_length=1, description="Linear maps that get an adapter."
    )
    from_layer: int = Field(
        0,
        ge=0,
        description="First layer whose maps get one. Through the layers below it no gradient"
        " flows and none of their activations are kept, which makes a step cheaper.",
    )


class TrainConfig(Options):
    """How one run is trained."""

    regime: Literal["frozen", "lora", "joint"] = Field(
        "joint",
        description="What is trained. frozen: only the parameters of the fast weights. lora: also"
        " low-rank adapters on the base. joint: also the whole base.",
    )
    lora: LoraConfig = Field(LoraConfig(), description="The adapters (regime: lora).")
    objective: Literal["lm", "write_drop_read", "mixed"] = Field(
        "write_drop_read",
        description="What is learned. lm: the next token of transcripts, or of your own texts."
        " write_drop_read: answers read from the fast weights after the text is dropped. mixed:"
        " both, in turn.",
    )
    keep_context: bool = Field(
        False,
        description="Keep the dialogue in the KV cache while the probes are asked (a control).",
    )
    start: InputPath = Field(
        "",
        description="Folder of a trained memory that is trained further, as `train` or"
        " `publish.py` makes it, or a folder of such folders, each named by its seed. Empty: new"
        " fast weights, and a new adapter.",
    )
    steps: int = Field(
        600, ge=0, description="Number of optimiser steps. 0: the base stays as it is."
    )
    dialogues_per_step: int = Field(
        16, ge=1, description="Number of dialogues in a micro-batch of a step."
    )
    probes_per_dialogue: int = Field(
        8, ge=1, description="Largest number of probes asked about one dialogue in a step."
    )
    growing_steps: int = Field(
        0,
        ge=0,
        description="Number of first steps, in which the written dialogues grow from two turns to"
        " their full length.",
    )
    context_weight: float = Field(
        1.0,
        ge=0,
        description="Weight of condition A's loss on the dialogues that a write_drop_read step"
        " writes (regime: joint or lora). 0: condition A is trained by `context_share` alone.",
    )
    gate_cost: float = Field(
        0.0,
        ge=0,
        description="Price of writing, so that the gate opens only where this helps the answers:"
        " the weight, in the loss of a write_drop_read step, of the share of tokens that take part"
        " in the writing, (sum s)^2 / (n sum s^2) for n tokens of strengths s. There is no price"
        " during `growing_steps`.",
    )
    fit_gate: bool = Field(
        False,
        description="Before the first step, fit the write gate to the training corpus: a linear"
        " classifier that tells the values of its dialogues from its distractor passages. Training"
        " goes on from there.",
    )
    share_distractors: bool = Field(
        False,
        description="In episodes of kind after and before, write the distractors of a whole"
        " micro-batch into the state of each of its dialogues: N dialogues with T distractor"
        " tokens each are asked after N T tokens. This needs an update rule whose states add up"
        " (ORDERED is False in its file), decay 1 and read_while_writing false."
        " With a recency below 1 these distractors count as part of the last text."
        " The states are dense: for the backward pass each layer holds about 2 N ff (ff + d)"
        " numbers.",
    )
    context_share: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of the steps that train condition A alone, with distractors too.",
    )
    empty_share: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Share of the steps that train condition C alone. Its right answer is the"
        " refusal.",
    )
    lm_weight: float = Field(
        0.1,
        ge=0,
        description="Weight of the next-token loss on the context in steps of condition A.",
    )
    keep_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of keeping what the base says otherwise (regime: lora or frozen;"
        " objective: write_drop_read): every step adds this times KL(base || trained model), in"
        " nats a token, over texts that the untouched base wrote (`base.texts`), one for each row,"
        " read with the fast weights that the step has written. 0: no such texts are made.",
    )
    episode: EpisodeConfig = Field(
        EpisodeConfig(), description="The texts written before the probes."
    )
    optimiser: OptimiserConfig = OptimiserConfig()
    mixed_precision: Literal["no", "bf16"] = Field(
        "no", description="Mixed precision of Accelerate."
    )
    accumulation: int = Field(1, ge=1, description="Number of micro-batches in an optimiser step.")
    gradient_checkpointing: bool = Field(
        False,
        description="Recompute the activations of each layer in the backward pass. This takes less"
        " GPU memory and one more forward pass.",
    )
    workers: int = Field(
        0, ge=0, description="Number of processes that make batches. 0: the training process."
    )
    checkpoint_every: int = Field(
        200, ge=1, description="Number of steps between checkpoints, from which a run can resume."
    )

    @model_validator(mode="after")
    def _what_is_kept_is_there(self) -> "TrainConfig":
        if self.keep_weight and self.regime == "joint":
            raise ValueError(
                "keep_weight: expected 0 in regime joint, which changes the base that it compares"
                " with"
            )
        if self.keep_weight and self.objective != "write_drop_read":
            raise ValueError(
                f"keep_weight: expected 0 with objective {self.objective!r}, or objective"
                " 'write_drop_read'"
            )
        return self

    @property
    def memory_is_trained(self) -> bool:
        """Whether the fast weights differ from new ones in the end.

        Those of a run that starts from a trained memory always do. Else some step must involve
        them, which steps of condition A or C do not.
        """
        if self.start:
            return True
        plain = self.regime != "frozen" and self.objective == "write_drop_read"
        return self.steps > 0 and not (plain and self.context_share + self.empty_share >= 1)


# Parts of the folder of a trained run: fast weights, and the base or adapter if that was trained.
FAST, BASE, ADAPTER = "fast_weights", "base", "adapter"
CURVE = "curve.parquet"  # the training curve, if it lies in the folder of a memory
MEMORY = Path(FAST, CONFIG)  # what the folder of a trained memory must hold


def memory_of(folder: str | Path, seed: object) -> Path:
    """The folder of the memory of one seed: `folder` itself, or the one of that name in it."""
    whole = Path(folder)
    return whole if (whole / MEMORY).is_file() else whole / str(seed)


class RunConfig(Options):
    """A named training regime. Its model is asked under every condition."""

    label: str = Field("", description="Name in tables and figures. Empty: the name of the run.")
    differs: str = Field(
        "",
        description="The one change from the run `report.baseline`, for the attribution table."
        " Empty: the run is a regime of its own.",
    )
    seeds: tuple[Seed, ...] = Field(
        (0,), min_length=1, description="Training seeds; each seed gives one model."
    )
    fast_weights: FastWeightsConfig = Field(description="Where and how the fast weights learn.")
    train: TrainConfig = Field(TrainConfig(), description="How the run is trained.")
    sweeps: bool = Field(True, description="Whether the sweeps are run too.")

    @model_validator(mode="after")
    def _there_is_a_gate_to_fit(self) -> "RunConfig":
        if self.train.fit_gate and self.fast_weights.gate == "none":
            raise ValueError(
                "train.fit_gate: expected false, or fast_weights.gate 'layer' or 'top', found"
                " 'none'"
            )
        if self.train.fit_gate and not self.train.memory_is_trained:
            raise ValueError(
                "train.fit_gate: expected false where nothing but the gate would be learned, or"
                " steps that train the memory, or train.start"
            )
        return self

    @model_validator(mode="after")
    def _shared_without_order(self) -> "RunConfig":
        rule, train = self.fast_weights, self.train
        if train.share_distractors and train.objective != "lm" and rule.ordered:
            raise ValueError(
                "train.share_distractors adds up states that were written apart: expected it to be"
                f" false, or decay 1, read_while_writing false and an update rule without order,"
                f" found {rule.update!r}"
            )
        return self
