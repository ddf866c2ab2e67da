"""What a state holds after texts of given lengths, and what that costs: from shapes alone."""

from collections.abc import Iterator
from dataclasses import dataclass

from .config import FastWeightsConfig
from .rules import load
from .rules.base import NOTHING, NUMBER_BYTES, Held, UpdateRule
from .rules.states import KEEP_FACTORS


@dataclass(frozen=True)
class StateSizes:
    """Sizes of the state of one row: fast weights of `config` on MLPs of widths d and ff."""

    config: FastWeightsConfig
    d: int
    ff: int

    def pieces(self, tokens: int) -> Iterator[int]:
        """Lengths of the pieces in which a text of `tokens` tokens is written."""
        reads = self.config.read_while_writing
        whole = self._rule.piece_length(self.config.chunk, self.d, self.ff, reads)
        whole = whole or max(tokens, 1)
        for start in range(0, tokens, whole):
            yield min(whole, tokens - start)

    def write(self, tokens: int, before: Held = NOTHING) -> tuple[int, Held]:
        """FLOPs of the update rule for a text, in one layer, and what the layer holds afterwards.

        `before` is what it held. The FLOPs of keys and values are not in it.
        """
        rule, shape, flops, held = self._rule, (self.d, self.ff), 0, before
        for number, piece in enumerate(self.pieces(tokens)):
            flops += rule.update_flops(*shape, piece, held)
            if self.config.read_while_writing:
                options = {"chunk": self.config.chunk, "later": number > 0}
                flops += rule.read_while_writing_flops(*shape, piece, held, **options)
            held = Held(held.tokens + piece, held.folded, held.readable)
            if rule.is_outgrown(*shape, held, KEEP_FACTORS):
                flops += rule.fold_flops(*shape, held)
                held = Held(0, True, held.readable)
        return flops, held

    def held(self, tokens: int, before: Held = NOTHING) -> Held:
        """What a layer that holds `before` holds after a text of `tokens` tokens."""
        return self.write(tokens, before)[1]

    def readable(self, held: Held) -> tuple[int, Held]:
        """FLOPs of making one layer's state readable, and what it holds then."""
        return self._rule.readable_flops(self.d, self.ff, held)

    def read_flops(self, held: Held) -> int:
        """FLOPs of reading one token in one layer."""
        return self._rule.read_flops(self.d, self.ff, held)

    def state_bytes(self, held: Held) -> int:
        """Bytes of all layers."""
        rule, shape = self._rule, (self.d, self.ff)
        width = NUMBER_BYTES if held.readable else rule.sum_bytes
        found = held.tokens * rule.token_numbers(*shape, held) * NUMBER_BYTES
        found += held.folded * rule.folded_numbers(*shape, held) * width
        return len(self.config.layers) * found

    def readable_peak_bytes(self, held: Held) -> int:
        """The most bytes held while all layers are made readable, one after the other."""
        after = self.readable(held)[1]
        if after == held:
            return self.state_bytes(held)
        layers = len(self.config.layers)
        working, shared = self._rule.readable_working(self.d, self.ff, held)
        both = self.state_bytes(held) + self.state_bytes(after)
        return both + working - layers * shared

    @property
    def _rule(self) -> UpdateRule:
        return load(self.config.update)
