"""The MLPs that can be given a memory."""

from torch import nn
from transformers import PreTrainedModel

from ..errors import UserError

PROJECTIONS = ("gate_proj", "up_proj", "down_proj")


def gated_mlps(model: PreTrainedModel, layers: tuple[int, ...]) -> dict[int, nn.Module]:
    """The gated MLP of each of the given decoder layers.

    Raises:
        UserError: a layer out of range, or without exactly one gated MLP.
    """
    name = type(model).__name__
    decoder = getattr(model.get_decoder(), "layers", None)
    expected = f"expected a decoder whose layers hold {', '.join(PROJECTIONS)}"
    if not isinstance(decoder, nn.ModuleList):
        raise UserError(f"{name} has no gated MLPs; {expected}")
    found = {}
    for i in layers:
        if i >= len(decoder):
            raise UserError(
                f"layers: layer {i} of {len(decoder)}; expected 0 to {len(decoder) - 1} for {name}"
            )
        mlps = [m for m in decoder[i].modules() if all(hasattr(m, p) for p in PROJECTIONS)]
        if len(mlps) != 1:
            raise UserError(f"{name}: layer {i} has {len(mlps)} gated MLPs; {expected}, one each")
        found[i] = mlps[0]
    return found
