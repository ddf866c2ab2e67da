"""The write of one piece of text into one layer, for a whole batch at once.

The convolution, the projection and key normalisation make keys and values of what the layer sees;
the update rule writes them. `naive.py` computes the same as a loop over tokens with a dense weight,
and the tests hold the two together.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from .chunks import ChunkPlan, Pending, convolve
from .rules.base import Tokens, UpdateRule
from .state import LayerState

KEY_EPS = 1e-6  # a key shorter than this is divided by this


@dataclass(frozen=True, eq=False)
class KeysAndValues:
    """How a layer makes keys and values, with its learned parts in the state's dtype."""

    rate: Tensor | float  # learning rate
    conv: Tensor | None  # [d, width]
    proj: Tensor | None  # [d, d]: values are multiplied by it from the right
    normalise: bool

    def keys(self, z: Tensor) -> Tensor:
        """Keys `[B, L, ff]`: z, or its rows divided by their length."""
        return F.normalize(z, dim=-1, eps=KEY_EPS) if self.normalise else z

    def values(self, target: Tensor, plan: ChunkPlan) -> Tensor:
        """conv(target) P, `[B, L, d]`; the convolution sees zeros beyond its chunk and its row."""
        if self.conv is not None:
            target = convolve(target * plan.valid[..., None], self.conv, plan.chunk)
        return target if self.proj is None else target @ self.proj


def advance(
    state: LayerState,
    plan: ChunkPlan,
    rule: UpdateRule,
    made: KeysAndValues,
    text: Pending,
    read: bool,
) -> tuple[Tensor | None, LayerState]:
    """Write one piece of text.

    Args:
        state: the state before; it is not changed.
        plan: made for this piece and this state.
        rule: the update rule.
        made: how to make keys and values.
        text: the T tokens of the piece.
        read: also return what each token reads, `[B, T, d]`: dW from before its chunk.

    Returns:
        What was read, or None, and the state afterwards.
    """
    packed = Pending(
        *(plan.pack(getattr(state.pending, n), getattr(text, n)) for n in ("z", "target", "weight"))
    )
    tokens = Tokens(
        keys=made.keys(packed.z),
        values=made.values(packed.target, plan),
        strength=rule.strength(packed.weight, made.rate),
    )
    out, written = rule.write(state.written, plan, tokens, text.z if read else None)
    return out, LayerState(written, packed.map(plan.rest))
