"""Typed configuration of the base model."""

from typing import Literal

from pydantic import Field, model_validator

from ...options import Commit, Options
from .training import PretrainConfig

Dtype = Literal["float32", "bfloat16"]
Attention = Literal["auto", "sdpa", "eager", "flash_attention_2"]


class ArchitectureConfig(Options):
    """Shape of a Qwen3 model that is pretrained here (transformers' own class, unmodified)."""

    hidden_size: int = Field(128, ge=8, description="Width of the residual stream, d.")
    intermediate_size: int = Field(384, ge=8, description="Width of the gated MLP, ff.")
    num_hidden_layers: int = Field(4, ge=1, description="Decoder layers.")
    num_attention_heads: int = Field(4, ge=1, description="Query heads.")
    num_key_value_heads: int = Field(
        4, ge=1, description="Key/value heads; divides the query heads."
    )
    head_dim: int = Field(32, ge=4, description="Width of a head.")
    max_position_embeddings: int = Field(8192, ge=64, description="Longest input, tokens.")
    rope_theta: float = Field(
        10000.0,
        gt=0,
        description="Base of the rotary position frequencies; keys are told apart over thousands of"
        " tokens only with a large one. All that a model trained on from `pretrain.start` takes of"
        " `architecture`.",
    )
    vocab_size: int = Field(4096, ge=300, description="Upper bound on the tokenizer's entries.")

    @model_validator(mode="after")
    def _heads_share_keys_alike(self) -> "ArchitectureConfig":
        heads, shared = self.num_attention_heads, self.num_key_value_heads
        if heads % shared:
            raise ValueError(
                f"num_key_value_heads: found {shared}, expected a divisor of the {heads} heads"
            )
        return self


class BaseConfig(Options):
    """The base model: pretrained here, a local hub-format folder, or a hub model."""

    source: Literal["pretrain", "local", "hub"] = Field(
        "local", description="Where the base model comes from."
    )
    path: str = Field(
        "data/models/embedded",
        description="Hub-format folder (source: local), relative to the repository.",
    )
    hub_id: str | None = Field(None, description="Repository on the hub (source: hub).")
    revision: Commit | None = Field(
        None, description="Commit hash of the hub repository (source: hub)."
    )
    dtype: Dtype = Field("float32", description="Type of the base weights.")
    attention: Attention = Field(
        "auto",
        description="How the base computes attention; auto: SDPA, or eager where the model has no"
        " SDPA. flash_attention_2 needs flash-attn, a GPU and bfloat16, and leaves rows of packed"
        " probes to SDPA.",
    )
    chat_template: Literal["auto", "none"] = Field(
        "auto",
        description="auto: dialogues and questions are turns of the tokenizer's chat template,"
        " if it has one; none: raw text.",
    )
    architecture: ArchitectureConfig = ArchitectureConfig()
    pretrain: PretrainConfig = PretrainConfig()

    @model_validator(mode="after")
    def _hub_is_pinned(self) -> "BaseConfig":
        if self.source == "hub" and not (self.hub_id and self.revision):
            raise ValueError("source 'hub' needs hub_id and revision (a commit hash)")
        return self

    @model_validator(mode="after")
    def _flash_is_in_half_precision(self) -> "BaseConfig":
        if self.attention == "flash_attention_2" and self.dtype != "bfloat16":
            raise ValueError("attention 'flash_attention_2' needs dtype 'bfloat16'")
        return self
