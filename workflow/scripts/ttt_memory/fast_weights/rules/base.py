"""What every update rule provides: how tokens are written into its state, and what that costs.

A rule is a file with a class `Rule`; the built-in ones stand beside this file, and
docs/update-rules.md shows how to write one. B is the number of rows, L that of packed tokens.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from .states import RuleState

if TYPE_CHECKING:
    from ..chunks import ChunkPlan


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of one piece of text, packed to the left of each row."""

    keys: Tensor  # [B, L, ff]
    values: Tensor  # [B, L, d]
    strength: Tensor  # [B, L], see `UpdateRule.strength`


@dataclass(frozen=True)
class Held:
    """What one layer's state of one row holds, as sizes, for the cost model."""

    tokens: int  # not folded
    folded: bool
    readable: bool = False  # in the form that `RuleState.readable` returns


NOTHING = Held(0, False)
NUMBER_BYTES = 4  # a state is float32, but for sums that need more


class UpdateRule(ABC):
    """How tokens change dW, and what that costs.

    The rate and the gate belong to the layer; they reach the rule as `strength`. A rule keeps
    nothing between calls: all that it has written is in its state.
    """

    State: ClassVar[type[RuleState]]
    sum_bytes: ClassVar[int] = NUMBER_BYTES  # of a number of the folded form that is written

    @abstractmethod
    def strength(self, weight: Tensor, rate: Tensor | float) -> Tensor:
        """How strongly each token is written, `[B, L]`, from its gate and the learning rate.

        Args:
            weight: `[B, L]`, gate times `write_weight`; at least 0.
            rate: the layer's learning rate, a positive scalar.
        """

    @abstractmethod
    def write(
        self, state: RuleState, plan: "ChunkPlan", tokens: Tokens, queries: Tensor | None
    ) -> tuple[Tensor | None, RuleState]:
        """Write the tokens of `plan`'s full chunks.

        Args:
            state: an instance of `State`; it is not changed.
            plan: which token falls in which chunk, and which are written now.
            tokens: the packed tokens; positions beyond `plan.valid` hold anything.
            queries: None, or z of the text `[B, T, ff]`: also return what each token reads,
                dW from before its own chunk.

        Returns:
            What was read `[B, T, d]`, or None, and the state afterwards.
        """

    def piece_length(self, chunk: int, d: int, ff: int, reads: bool) -> int | None:
        """The most tokens of a text to write at once, whole chunks; None for all of them.

        With dense sums, a token of a piece of L tokens costs L (d + ff) for the products inside the
        piece and 2 d ff for the sums from before it. At L = 4 d ff / (d + ff) the second is a third
        of the whole. `reads`: the text is also read while it is written.
        """
        return (4 * d * ff // (d + ff) // chunk + 1) * chunk

    # Costs of one row and one layer: numbers kept, and FLOPs (a multiply-add counts as two).

    def token_numbers(self, d: int, ff: int, held: Held) -> int:
        """Numbers kept of a token that is not folded."""
        return d + ff

    def folded_numbers(self, d: int, ff: int, held: Held) -> int:
        """Numbers of the folded form."""
        return d * ff

    def is_outgrown(self, d: int, ff: int, held: Held, times: int) -> bool:
        """`RuleState.outgrown` of a state of these sizes."""
        tokens = held.tokens * self.token_numbers(d, ff, held)
        return tokens > times * self.folded_numbers(d, ff, held)

    def fold_flops(self, d: int, ff: int, held: Held) -> int:
        """FLOPs of folding."""
        return 2 * held.tokens * self.folded_numbers(d, ff, held)

    def read_flops(self, d: int, ff: int, held: Held) -> int:
        """FLOPs of reading one token from a readable state."""
        return 2 * held.tokens * (d + ff) + 2 * d * ff * held.folded

    def update_flops(self, d: int, ff: int, tokens: int, held: Held) -> int:
        """FLOPs of the rule's own part of writing a piece; keys and values are not its part."""
        return 0

    def read_while_writing_flops(
        self, d: int, ff: int, tokens: int, held: Held, chunk: int, later: bool
    ) -> int:
        """FLOPs that reading a piece while it is written adds; `later`: a piece came before it."""
        return tokens * (2 * tokens * (d + ff) + self.read_flops(d, ff, held))

    def readable_flops(self, d: int, ff: int, held: Held) -> tuple[int, Held]:
        """FLOPs of `RuleState.make_readable`, and the sizes of what it returns."""
        return 0, held

    def readable_working(self, d: int, ff: int, held: Held) -> tuple[int, int]:
        """Bytes that `make_readable` needs beside the states before and after, and shares.

        Shared are the bytes of tensors that are the same in both states.
        """
        return 0, 0
