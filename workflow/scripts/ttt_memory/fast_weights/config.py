"""Every choice of the fast-weight memory, checked before any work."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, field_validator, model_validator


class FastWeightsConfig(BaseModel):
    """Which layers remember, and by which rule.

    With Z_i `[C, ff]` the inputs of `down_proj` in chunk i, K_i the keys (Z_i, or its rows
    normalised), V_i `[C, d]` the values and G_i the diagonal of write gates:

        read   O_i     = Z_i (W + dW_i)^T
        write  dW_{i+1} = decay dW_i + lr V_i^T G_i K_i

    after arXiv 2604.06169, section 3; gate, decay and key normalisation are ours. The delta rule
    (arXiv 2102.11174) writes the tokens of a chunk one by one, each less what is recalled by then:

        dW <- dW + (1 - exp(-lr g_t)) (v_t - dW k_t) k_t^T

    A later token thereby spoils what a like one before it has written. The least-squares rule
    ("mesa", after MesaNet, arXiv 2506.05233) has no order; dW is what minimises

        sum_t s_t ||v_t - dW k_t||^2 + ||dW||_F^2      over all tokens written,

    with s_t = f_t / (1 - 0.99 f_t), f_t = 1 - exp(-lr g_t): what a key like no other recalls of its
    value, as for the delta rule.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: tuple[NonNegativeInt, ...] = Field(
        min_length=1, description="decoder layers that write"
    )
    chunk: int = Field(32, ge=1, description="tokens written at once")
    lr: float = Field(0.1, gt=0, allow_inf_nan=False, description="inner learning rate")
    learn_lr: bool = Field(True, description="learn one positive rate per layer, starting at lr")
    conv_width: int = Field(5, ge=1, description="odd; taps of the value's convolution, 1 = none")
    projection: bool = Field(True, description="project values by a learned [d, d] matrix")
    init: Literal["copy", "published"] = Field(
        "copy", description="copy: value = next token; published: memory starts silent"
    )
    target: Literal["hidden_states", "input_embed"] = Field(
        "hidden_states", description="what values are made of: the MLP's input, or token embeddings"
    )
    key_norm: Literal["none", "l2"] = Field("l2", description="normalise keys at the write")
    update: Literal["hebbian", "delta", "mesa"] = Field(
        "hebbian",
        description="delta: write a token less what the memory recalls for it by then; mesa: the"
        " least-squares solution over all that was written, of which no token is the last",
    )
    gate: Literal["none", "layer", "top"] = Field(
        "none", description="how much of a token is written, from its MLP input or the top layer"
    )
    decay: float = Field(1.0, gt=0, le=1, description="factor on the memory at each chunk")
    flush: bool = Field(True, description="write the last, partial chunk of a text (else drop it)")
    read_while_writing: bool = Field(
        False, description="read each chunk with the weights from before it, as published"
    )

    @field_validator("layers")
    @classmethod
    def _distinct(cls, layers: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(layers)) < len(layers):
            raise ValueError(f"layers {list(layers)} names a layer twice")
        return tuple(sorted(layers))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.conv_width % 2 == 0:
            raise ValueError(f"conv_width {self.conv_width} is even; expected an odd width")
        if self.init == "copy" and self.conv_width == 1:
            raise ValueError('init "copy" takes the next token: expected conv_width 3 or more')
        if self.update == "mesa" and (self.decay < 1 or self.key_norm == "none"):
            raise ValueError(
                'update "mesa" weighs all tokens alike, in float32: '
                'expected decay 1 and key_norm "l2"'
            )
        if self.gate == "top" and self.read_while_writing:
            raise ValueError(
                'gate "top" needs the top layer before the first write: '
                "expected read_while_writing false"
            )
        return self
