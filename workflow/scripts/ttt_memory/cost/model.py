"""What reading, writing, asking and training cost, from shapes alone: FLOPs, bytes, seconds.

Matrix products, convolutions and attention, a multiply-add counted as two FLOPs, attention over
its whole square. With d, ff the widths of an MLP, h query and g key/value heads of width e:

    a token of a layer        2 d e (2 h + 2 g) + 4 h e K + 6 d ff        K tokens attended to
    its write, L at once      2 d^2 + 2 w d          conv of width w, projection
      delta rule              + (L + b)(ff + d)      keys with keys and triangular solve, halves of
                              - b d                  squares, in blocks of b tokens
      read while written      + 2 L (d + ff); by least squares what is held after each chunk, solved
      what was there before   + 2 S (d + ff), or 2 d ff once it is dense
    folding S factors         2 S d ff, by least squares 2 S ff^2 more
    solving least squares     2 S^2 (ff + d) + S^3 / 3, or, once a part is dense and so all is,
                              ff^3 / 3 + 2 ff^2 d
    its read                  2 S (d + ff), or 2 d ff
    training                  2 forwards more, 1 if the base is frozen

Seconds are those of a roofline: the longer of FLOPs at the device's best and bytes at its best.
Bytes are what must move at least: the weights once a pass, KV cache and states that are read.
"""

from dataclasses import dataclass, replace
from typing import Self

from transformers import PretrainedConfig

from ..fast_weights.config import FastWeightsConfig
from ..fast_weights.parallel import BLOCK
from ..fast_weights.passes import UNFOLDED, piece_length
from .stopwatch import Ceilings

MEMORY_BYTES = 4  # the memory is float32
WIDTHS = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class Work:
    """FLOPs of the model, FLOPs of the memory (float32), and bytes."""

    model: int = 0
    memory: int = 0
    bytes: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.model + other.model, self.memory + other.memory, self.bytes + other.bytes
        )

    def times(self, count: int) -> Self:
        """The same `count` times."""
        return type(self)(count * self.model, count * self.memory, count * self.bytes)

    @property
    def flops(self) -> int:
        """All of them."""
        return self.model + self.memory

    def seconds(self, best: Ceilings, dtype: str) -> float:
        """Time on a device that reaches its ceilings."""
        compute = self.model / best.matmul[dtype] + self.memory / best.matmul["float32"]
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
class Held:
    """What one layer's state holds: factors of tokens, and a dense part or none; solved or not."""

    factors: int
    dense: bool
    solved: bool = False


NOTHING = Held(0, False)


@dataclass(frozen=True)
class Memory:
    """Fast weights in some layers of a decoder."""

    decoder: Decoder
    config: FastWeightsConfig

    def held(self, tokens: int, before: Held = NOTHING) -> Held:
        """What a state that holds `before` holds after a text of `tokens` tokens."""
        return self._advance(tokens, before)[1]

    def state_bytes(self, held: Held) -> int:
        """Of one dialogue."""
        size = held.factors * self._factor(held) + self._dense(held) * held.dense
        return len(self.config.layers) * size * MEMORY_BYTES

    def parameters(self) -> int:
        """Learned by the memory itself."""
        d, config = self.decoder.d, self.config
        own = config.learn_lr + (d * config.conv_width if config.conv_width > 1 else 0)
        own += d * d * config.projection + (d + 1) * (config.gate != "none")
        return len(config.layers) * own

    def write(self, rows: int, tokens: int, before: Held = NOTHING) -> Work:
        """What writing `tokens` tokens adds to a forward pass, into states that hold `before`."""
        flops, after = self._advance(tokens, before)
        moved = self.state_bytes(before) + self.state_bytes(after)
        return Work(0, rows * len(self.config.layers) * flops, rows * moved)

    def solve(self, rows: int, held: Held) -> tuple[Work, Held]:
        """What solving takes before a state is first read, and what is read then."""
        flops, solved = self._solve(held)
        if solved == held:
            return Work(), held
        moved = self.state_bytes(held) + self.state_bytes(solved)
        return Work(0, rows * len(self.config.layers) * flops, rows * moved), solved

    def solving_bytes(self, held: Held) -> int:
        """Of one dialogue while it is solved, at most: before, after, and one layer's working.

        Keys that stay are in both; a system is there once more than its Cholesky factor.
        """
        after = self._solve(held)[1]
        if after == held:
            return self.state_bytes(held)
        d, ff, n = self.decoder.d, self.decoder.ff, held.factors
        shared = 0 if after.dense else len(self.config.layers) * n * ff
        side = ff if after.dense else n
        working = 2 * side * side + side * d
        return self.state_bytes(held) + self.state_bytes(after) + (working - shared) * MEMORY_BYTES

    def read(self, rows: int, tokens: int, held: Held) -> Work:
        """What reading a solved state adds to a forward pass; every row has one of its own."""
        flops = rows * len(self.config.layers) * tokens * self._recall(held)
        return Work(0, flops, rows * self.state_bytes(held))

    def _advance(self, tokens: int, held: Held) -> tuple[int, Held]:
        """FLOPs of writing a text in one layer, and what is held afterwards."""
        d, ff, flops = self.decoder.d, self.decoder.ff, 0
        whole = piece_length(self.config, d, ff) or max(tokens, 1)
        for start in range(0, tokens, whole):
            piece = min(whole, tokens - start)
            flops += self._piece(piece, held)
            if start and self.config.read_while_writing:  # what is held before the text was solved
                flops += self._solve(held)[0]
            held = replace(held, factors=held.factors + piece)
            if self._outgrown(held):
                folding, held = self._fold(held)
                flops += folding
        return flops, held

    def _outgrown(self, held: Held) -> bool:
        if self._weighed(held):
            return held.factors > self.decoder.ff
        return held.factors * self._factor(held) > UNFOLDED * self._dense(held)

    def _fold(self, held: Held) -> tuple[int, Held]:
        return 2 * held.factors * self._dense(held), Held(0, True, held.solved)

    def _weighed(self, held: Held) -> bool:
        return self._mesa and not held.solved

    def _factor(self, held: Held) -> int:
        """Numbers that are kept of a token."""
        return self.decoder.d + self.decoder.ff + self._weighed(held)

    def _dense(self, held: Held) -> int:
        """Numbers of a dense part."""
        d, ff = self.decoder.d, self.decoder.ff
        return (d + ff) * ff if self._weighed(held) else d * ff

    @property
    def _mesa(self) -> bool:
        return self.config.update == "mesa"

    def _recall(self, held: Held) -> int:
        d, ff = self.decoder.d, self.decoder.ff
        return 2 * held.factors * (d + ff) + 2 * d * ff * held.dense

    def _piece(self, tokens: int, held: Held) -> int:
        config, d, ff = self.config, self.decoder.d, self.decoder.ff
        a_token = 2 * d * d * config.projection
        if config.conv_width > 1:
            chunk = min(config.chunk, tokens)
            a_token += 2 * d * config.conv_width * (-(-tokens // chunk) * chunk) / tokens
        if config.update == "delta":
            a_token += self._recall(held) + self._triangle(tokens) / tokens
        if config.read_while_writing and self._mesa:
            a_token += self._reread(tokens, held) / tokens
        elif config.read_while_writing:
            a_token += 2 * tokens * (d + ff) + self._recall(held)
        return round(tokens * a_token)

    def _reread(self, tokens: int, held: Held) -> int:
        """Of a piece read while it is written by least squares: all is read after each chunk."""
        flops, chunk = tokens * self._recall(self._solve(held)[1]), self.config.chunk
        for start in range(0, tokens, chunk):
            held = replace(held, factors=held.factors + min(chunk, tokens - start))
            if held.dense:
                folding, held = self._fold(held)
                flops += folding
            solving, solved = self._solve(held)
            flops += solving + tokens * self._recall(solved)
        return flops

    def _solve(self, held: Held) -> tuple[int, Held]:
        if not self._mesa or held.solved or held == NOTHING:
            return 0, held
        d, ff, n = self.decoder.d, self.decoder.ff, held.factors
        if held.dense:
            folding, held = self._fold(held)
            return folding + ff**3 // 3 + 2 * ff * ff * d, replace(held, solved=True)
        return 2 * n * n * (ff + d) + n**3 // 3, replace(held, solved=True)

    def _triangle(self, tokens: int) -> int:
        """Of the delta rule's triangular system, block by block."""
        d, ff, flops = self.decoder.d, self.decoder.ff, 0
        for start in range(0, tokens, BLOCK):
            block = min(BLOCK, tokens - start)
            flops += block * (2 * (start + block) * ff + 2 * start * d + block * d)
        return flops


QWEN3_8B = Decoder(4096, 12288, 36, 32, 8, 128, 151936, False, "bfloat16")
SHAPES = {"qwen3-8b": QWEN3_8B, "qwen3-8b-float32": replace(QWEN3_8B, dtype="float32")}

TERA = 1e12
# Data sheets, dense: FLOP/s of products by dtype and memory bytes/s; and the memory, GiB.
# PyTorch multiplies float32 without TF32 unless it is told to.
DEVICES = {
    "a100-40gb": (
        Ceilings(
            {"bfloat16": 312 * TERA, "float32": 19.5 * TERA, "tf32": 156 * TERA}, 1.555 * TERA
        ),
        40,
    ),
    "a100-80gb": (
        Ceilings(
            {"bfloat16": 312 * TERA, "float32": 19.5 * TERA, "tf32": 156 * TERA}, 2.039 * TERA
        ),
        80,
    ),
    "h100-80gb": (
        Ceilings({"bfloat16": 989 * TERA, "float32": 67 * TERA, "tf32": 494 * TERA}, 3.35 * TERA),
        80,
    ),
    "h200-141gb": (
        Ceilings({"bfloat16": 989 * TERA, "float32": 67 * TERA, "tf32": 494 * TERA}, 4.8 * TERA),
        141,
    ),
}
