"""What forward passes, writing, reading and training cost, from shapes alone.

Counted are matrix products, convolutions and attention; a multiply-add is two FLOPs, and attention
counts its whole square. With d and ff the widths of an MLP, h query heads and g key/value heads of
width e, and K tokens attended to:

    a token of a layer                       2 d e (2 h + 2 g) + 4 h e K + 6 d ff
    making its key and value                 2 d^2 (projection) + 2 w d (convolution of width w)
    delta rule, L tokens at once             (L + b)(ff + d) - b d for each token, in blocks of b
      and reading what was there before      2 S (d + ff) for S factors, or 2 d ff once folded
    folding S tokens                         2 S d ff; by least squares 2 S ff^2 more
    solving least squares                    2 S^2 (ff + d) + S^3 / 3 in S unknowns, or
                                             ff^3 / 3 + 2 ff^2 d once anything is folded
    reading a token                          2 S (d + ff), or 2 d ff once folded
    reading while writing                    2 L (d + ff) more; by least squares everything is
                                             solved and read after each chunk
    training                                 twice the forward more; once if the base is frozen

An update rule's own part is in its file (fast_weights/rules). Seconds are those of a roofline: the
longer of FLOPs at the device's best rate and bytes at its best rate. Bytes are what must move at
least: the weights once a pass, and the KV cache and states that are read.
"""

from dataclasses import dataclass
from typing import Self

from transformers import PretrainedConfig

from ..fast_weights.config import FastWeightsConfig
from ..fast_weights.rules.base import NOTHING, Held
from ..fast_weights.sizes import StateSizes
from .roofline import Ceilings

WIDTHS = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Work:
    """FLOPs of the model, FLOPs of its fast weights (float32), and bytes."""

    model: int = 0
    fast: int = 0
    bytes: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.model + other.model, self.fast + other.fast, self.bytes + other.bytes
        )

    def times(self, count: int) -> Self:
        """The same `count` times."""
        return type(self)(count * self.model, count * self.fast, count * self.bytes)

    @property
    def flops(self) -> int:
        """All of them."""
        return self.model + self.fast

    def seconds(self, best: Ceilings, dtype: str) -> float:
        """Time on a device that reaches its ceilings."""
        compute = self.model / best.matmul[dtype] + self.fast / best.matmul["float32"]
        return max(compute, self.bytes / best.copy)


@dataclass(frozen=True)
class Decoder:
    """Shape of a decoder with gated MLPs."""

    d: int
    ff: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    tied: bool
    dtype: str = "float32"

    @classmethod
    def of(cls, config: PretrainedConfig, dtype: str) -> Self:
        """The shape that a model's configuration describes."""
        heads = config.num_attention_heads
        return cls(
            config.hidden_size,
            config.intermediate_size,
            config.num_hidden_layers,
            heads,
            config.num_key_value_heads,
            getattr(config, "head_dim", None) or config.hidden_size // heads,
            config.vocab_size,
            config.tie_word_embeddings,
            dtype,
        )

    @property
    def matrix_parameters(self) -> int:
        """Parameters of all matrices, input embeddings and output head included."""
        attention = 2 * self.d * self.head * (self.heads + self.kv_heads)
        head = self.d * self.vocabulary * (1 if self.tied else 2)
        return self.layers * (attention + 3 * self.d * self.ff) + head

    @property
    def weight_bytes(self) -> int:
        """Bytes of all matrices; norms are a few vectors more."""
        return self.matrix_parameters * WIDTHS[self.dtype]

    def cache_bytes(self, tokens: int) -> int:
        """KV cache of `tokens` tokens."""
        return 2 * self.layers * self.kv_heads * self.head * tokens * WIDTHS[self.dtype]

    def forward(self, rows: int, tokens: int, past: int = 0, logits: int = 0) -> Work:
        """A pass over `tokens` tokens in each of `rows`; `logits` positions of a row get logits."""
        products = 2 * self.d * self.head * (self.heads + self.kv_heads) + 3 * self.d * self.ff
        attention = 2 * self.heads * self.head * (past + tokens)
        flops = 2 * rows * tokens * self.layers * (products + attention)
        flops += 2 * rows * logits * self.d * self.vocabulary
        moved = self.weight_bytes + self.cache_bytes(rows * (past + tokens))
        return Work(flops, 0, moved)


@dataclass(frozen=True)
class FastWeightsCost:
    """What fast weights in some layers of a decoder cost."""

    decoder: Decoder
    config: FastWeightsConfig

    @property
    def sizes(self) -> StateSizes:
        """Sizes of one row's state."""
        return StateSizes(self.config, self.decoder.d, self.decoder.ff)

    def parameters(self) -> int:
        """Learned parameters of the fast weights."""
        d, config = self.decoder.d, self.config
        own = config.learn_lr + (d * config.conv_width if config.conv_width > 1 else 0)
        own += d * d * config.projection + (d + 1) * (config.gate != "none")
        return len(config.layers) * own

    def write(self, rows: int, tokens: int, before: Held = NOTHING) -> Work:
        """What writing `tokens` tokens adds to a forward pass, into states that hold `before`."""
        flops, after = self.sizes.write(tokens, before)
        flops += sum(map(self._values, self.sizes.pieces(tokens)))
        moved = self.sizes.state_bytes(before) + self.sizes.state_bytes(after)
        return self._work(rows, flops, moved)

    def write_texts(
        self, rows: int, texts: list[int], segment: int, opening: int = 0
    ) -> tuple[list[Work], Held]:
        """The passes that write texts of these lengths into empty states, and what is held then.

        Each pass is over at most `segment` tokens, which follow `opening` tokens of every pass.
        """
        passes, held = [], NOTHING
        for text in texts:
            for start in range(0, text, segment):
                piece = min(segment, text - start)
                forward = self.decoder.forward(rows, opening + piece)
                passes.append(forward + self.write(rows, piece, held))
                held = self.sizes.held(piece, held)
        return passes, held

    def make_readable(self, rows: int, held: Held) -> tuple[Work, Held]:
        """What making a state readable costs before it is first read, and what it holds then."""
        flops, after = self.sizes.readable(held)
        if after == held:
            return Work(), held
        moved = self.sizes.state_bytes(held) + self.sizes.state_bytes(after)
        return self._work(rows, flops, moved), after

    def read(self, rows: int, tokens: int, held: Held) -> Work:
        """What reading a readable state adds to a forward pass; every row has one of its own."""
        return self._work(rows, tokens * self.sizes.read_flops(held), self.sizes.state_bytes(held))

    def _work(self, rows: int, layer_flops: int, moved: int) -> Work:
        return Work(0, rows * len(self.config.layers) * layer_flops, rows * moved)

    def _values(self, tokens: int) -> int:
        """FLOPs of the convolution, over whole chunks, and of the projection of one piece."""
        d, config = self.decoder.d, self.config
        flops = 2 * tokens * d * d * config.projection
        if config.conv_width > 1:
            chunk = min(config.chunk, tokens)
            flops += 2 * d * config.conv_width * (-(-tokens // chunk) * chunk)
        return flops
