"""What the fast weights need to know of a Hugging Face model: its MLPs, positions, fingerprint."""

from collections.abc import Mapping
from hashlib import blake2b

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..errors import UserError

# Of an MLP that can be given fast weights: it is gated, also where one matrix holds gate and up.
PROJECTIONS = (("gate_proj", "up_proj", "down_proj"), ("gate_up_proj", "down_proj"))
# Parts of a parameter's name that stand for what peft, torch.compile, FSDP or checkpointing puts
# around a module.
WRAPPERS = ("base_layer", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
SAMPLED = 256  # values of each tensor in a fingerprint: an 8B model's take under a second


def positions(model: PreTrainedModel) -> int | None:
    """The longest input of `model`, tokens; None where it has no limit."""
    config = model.get_decoder().config
    rope = getattr(config, "rope_parameters", None) or {}
    if "dynamic" in str(rope.get("rope_type")):  # its frequencies follow the length
        return None
    return getattr(config, "max_position_embeddings", None)


def is_adapter(name: str) -> bool:
    """Whether a parameter of this name is a factor of an adapter."""
    return ".lora_" in name


def fingerprint(module: nn.Module, adapters: bool = False) -> str:
    """Digits that tell `module` from another: by its adapters too, or as if it had none.

    Of its parameters' names, shapes and a sample of their values, rounded to bfloat16: a base
    loaded as float32 or as bfloat16 is the same base.

    Raises:
        UserError: a parameter is offloaded.
    """
    digest = blake2b(digest_size=16)
    for name, parameter in module.named_parameters():
        if is_adapter(name) and not adapters:
            continue
        name = _unwrapped(name)
        if parameter.is_meta:
            raise UserError(f"{name} is offloaded; expected a model that is loaded as a whole")
        values = parameter.detach().flatten()
        # An odd stride: an even one might never leave the first columns of a matrix.
        values = values[:: len(values) // SAMPLED | 1].to("cpu", torch.bfloat16).contiguous()
        digest.update(f"{name} {tuple(parameter.shape)}".encode())
        digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _unwrapped(name: str) -> str:
    """A parameter's name without what a compiled, parallel or adapted model puts around it."""
    name = ".".join(part for part in name.split(".") if part not in WRAPPERS)
    # DDP keeps the whole model as `module`, peft as `base_model.model`.
    return name.removeprefix("module.").removeprefix("base_model.model.")


def check_shapes(where: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse tensors other than expected by name and shape.

    Raises:
        UserError: names `where` they come from and the first that differs.
    """
    for name in sorted(found.keys() | expected.keys()):
        shapes = [tuple(part[name].shape) if name in part else None for part in (found, expected)]
        if shapes[0] != shapes[1]:
            raise UserError(f"{where}: {name} is {shapes[0]}, expected {shapes[1]}")


def widths(linear: nn.Module) -> tuple[int, int]:
    """Outputs and inputs of a linear map. Four-bit weights are stored in another shape."""
    return linear.out_features, linear.in_features


def _is_gated(module: nn.Module) -> bool:
    # A mixture of experts has parameters of these names.
    held = {name for name, _ in module.named_children()}
    return any(held.issuperset(names) for names in PROJECTIONS)


def gated_mlps(model: PreTrainedModel, layers: tuple[int, ...]) -> dict[int, nn.Module]:
    """The gated MLP of each of the given decoder layers.

    Raises:
        UserError: a layer out of range, or without exactly one gated MLP.
    """
    name = type(model).__name__
    decoder = getattr(model.get_decoder(), "layers", None)
    ways = " or ".join(", ".join(names) for names in PROJECTIONS)
    expected = f"expected a decoder whose layers hold {ways}"
    if not isinstance(decoder, nn.ModuleList):
        raise UserError(f"{name} has no gated MLPs; {expected}")
    found = {}
    for i in layers:
        if i >= len(decoder):
            raise UserError(
                f"layers: layer {i} of {len(decoder)}; expected 0 to {len(decoder) - 1} for {name}"
            )
        mlps = [m for m in decoder[i].modules() if _is_gated(m)]
        if len(mlps) != 1:
            raise UserError(f"{name}: layer {i} has {len(mlps)} gated MLPs; {expected}, one each")
        found[i] = mlps[0]
    return found
