"""Tensors that FSDP has spread over processes: whole again, spread alike."""

from pathlib import Path

import torch.distributed.checkpoint as dcp
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer


def whole(tensor: Tensor) -> Tensor:
    """The tensor with the shards of all processes; every process must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shard_like(tensor: Tensor, like: Tensor) -> Tensor:
    """`tensor`, which all processes hold whole, spread as `like` is."""
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def average_whole(model: nn.Module, accelerator: Accelerator) -> None:
    """Average over processes the gradients that FSDP leaves alone: of parameters it did not spread.

    Every process must ask for it, with gradients on the same parameters.
    """
    for parameter in model.parameters():
        if parameter.grad is not None and not isinstance(parameter, DTensor):
            parameter.grad = accelerator.reduce(parameter.grad, reduction="mean")


def save_shards(model: nn.Module, optimisers: list[Optimizer], folder: Path) -> None:
    """Write into `folder` what each process holds of the model and of its optimisers."""
    names = ("model", "optimisers")
    dcp.save(dict(zip(names, get_state_dict(model, optimisers), strict=True)), checkpoint_id=folder)


def holds_shards(folder: Path) -> bool:
    """Whether `save_shards` wrote into `folder`."""
    return (folder / ".metadata").is_file()


def load_shards(model: nn.Module, optimisers: list[Optimizer], folder: Path) -> None:
    """Read what `save_shards` wrote, by any number of processes."""
    parts, states = get_state_dict(model, optimisers)
    found = {"model": parts, "optimisers": states}
    dcp.load(found, checkpoint_id=folder)
    set_state_dict(
        model, optimisers, model_state_dict=found["model"], optim_state_dict=found["optimisers"]
    )


def gather(model: nn.Module, keep: bool) -> None:
    """Make every parameter of `model` a plain tensor, in main memory where `keep`, else empty.

    Every process must ask for it, after its last step; nothing can be trained afterwards.
    """
    found: dict[int, nn.Parameter] = {}  # tied parameters stay one
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if isinstance(parameter, DTensor):
                if id(parameter) not in found:
                    full = whole(parameter.detach())
                    full = full.cpu() if keep else full.new_empty(0)
                    found[id(parameter)] = nn.Parameter(full, requires_grad=False)
                # Parameters keep the sharded ones alive, whose ids stay their own.
                module.register_parameter(name, found[id(parameter)])
