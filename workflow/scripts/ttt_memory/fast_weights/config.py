"""Every choice of the fast weights, checked before any work."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, field_validator, model_validator

from ..errors import UserError
from ..options import InputPath
from .rules import RULES, declared

# Files of a folder of fast weights: this configuration, with digests; and a copy of an update rule
# that does not come with this package.
CONFIG, OWN_RULE = "fast_weights.json", "update_rule.py"


class FastWeightsConfig(BaseModel):
    """Which layers have fast weights, and how they are written.

    With Z_i `[C, ff]` the inputs of `down_proj` in chunk i, K_i the keys (Z_i, or its rows
    normalised), V_i `[C, d]` the values and G_i the diagonal of write gates:

        read   O_i     = Z_i (W + dW_i)^T
        write  dW_{i+1} = decay dW_i + lr V_i^T G_i K_i

    after arXiv 2604.06169, section 3; gate, decay and key normalisation are ours. This is the
    Hebbian rule; `rules/` holds one file for each update rule, with its equations.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: tuple[NonNegativeInt, ...] = Field(
        min_length=1, description="Decoder layers that have fast weights."
    )
    chunk: int = Field(32, ge=1, description="Tokens written at once.")
    lr: float = Field(0.1, gt=0, allow_inf_nan=False, description="Inner learning rate.")
    learn_lr: bool = Field(
        True, description="Learn one positive rate for each layer, starting at lr."
    )
    conv_width: int = Field(
        5,
        ge=1,
        description="Taps of the convolution that makes values: an odd number; 1: no convolution.",
    )
    projection: bool = Field(True, description="Project values by a learned [d, d] matrix.")
    init: Literal["copy", "published"] = Field(
        "copy",
        description="copy: at first the value of a token is the next token. published: at first"
        " nothing is written.",
    )
    target: Literal["hidden_states", "input_embed"] = Field(
        "hidden_states",
        description="What values are made of: the MLP's input, or the token embeddings.",
    )
    key_norm: Literal["none", "l2"] = Field(
        "l2", description="l2: keys are divided by their length when they are written."
    )
    update: InputPath = Field(
        "hebbian",
        examples=list(RULES),  # offered by editors; a path is as good
        description="The update rule. hebbian: add up value times key. delta: write each value less"
        " what the fast weights already return for its key. mesa: the least-squares solution over"
        " all tokens written, whatever their order. Or the path of a file with a rule of your own"
        " (docs/update-rules.md).",
    )
    gate: Literal["none", "layer", "top"] = Field(
        "none",
        description="The gate is how much of a token is written, and this is what it is computed"
        " from. none: every token is written whole. layer: the input of the layer's MLP. top: the"
        " last hidden state of the model.",
    )
    decay: float = Field(
        1.0, gt=0, le=1, description="Factor on dW at each chunk; 1 forgets nothing."
    )
    recency: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Factor on all that is held when a new text begins. By least squares it is the"
        " weight of earlier texts: where keys conflict the later text outweighs them, and all else"
        " is recalled whole. By other rules it is a factor on dW. 1: texts have no age.",
    )
    learn_recency: bool = Field(
        False, description="Learn one such factor for each layer, between 0 and 1, from recency."
    )
    flush: bool = Field(
        True,
        description="Write the last, partial chunk of a text; otherwise drop it, as published.",
    )
    read_while_writing: bool = Field(
        False,
        description="While a text is written, run each chunk with the fast weights from before it,"
        " as published.",
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
        if self.learn_recency and self.recency == 1:
            raise ValueError("learn_recency starts from recency: expected it below 1, found 1")
        if self.gate == "top" and self.read_while_writing:
            raise ValueError(
                'gate "top" needs the top layer before the first write: '
                "expected read_while_writing false"
            )
        return self

    @model_validator(mode="after")
    def _fits_the_rule(self) -> Self:
        try:
            requires = declared(self.update).requires
        except UserError as error:
            raise ValueError(f"update: {error}") from error
        found = {key: getattr(self, key, None) for key in requires}
        if found != dict(requires):
            raise ValueError(f"update {self.update!r} requires {dict(requires)}, found {found}")
        return self

    @property
    def ordered(self) -> bool:
        """Whether what a text writes depends on what was written before.

        If it does not, states of texts written apart can be merged (`FastState.merge`). Recency
        does not forbid that: merged texts count as part of the last text.
        """
        return declared(self.update).ordered or self.decay < 1 or self.read_while_writing
