"""Tensors that FSDP has sharded over processes: gathering, sharding and saving them."""

from pathlib import Path

import torch.distributed.checkpoint as dcp
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer


def whole(tensor: Tensor) -> Tensor:
    """The whole tensor, from the shards of all processes. Every process must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shard_like(tensor: Tensor, like: Tensor) -> Tensor:
    """`tensor`, which every process has as a whole, sharded as `like` is."""
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def through_outputs(module: nn.Module, loss: Tensor, outputs: list[Tensor]) -> Tensor:
    """`loss`, a scalar, with a gradient of zero for `outputs` if FSDP has sharded `module`.

    FSDP gathers a layer's weights again when the gradient of the layer's output arrives. The output
    of a text that is only written has none: the gradient comes from the fast weights, into the
    middle of the layer, and meets weights that are not there.
    """
    if isinstance(module, FSDPModule):
        for output in outputs:
            loss = loss + 0 * output.sum()
    return loss


def average_whole(model: nn.Module, accelerator: Accelerator) -> None:
    """Average the gradients of parameters that FSDP did not shard, over all processes.

    FSDP averages only those of sharded parameters. Every process must call this, with gradients on
    the same parameters.
    """
    for parameter in model.parameters():
        if parameter.grad is not None and not isinstance(parameter, DTensor):
            parameter.grad = accelerator.reduce(parameter.grad, reduction="mean")


def save_shards(model: nn.Module, optimisers: list[Optimizer], folder: Path) -> None:
    """Write the shards of the model and of its optimisers to `folder`, each by its process."""
    names = ("model", "optimisers")
    dcp.save(dict(zip(names, get_state_dict(model, optimisers), strict=True)), checkpoint_id=folder)


def holds_shards(folder: Path) -> bool:
    """Whether `folder` is one that `save_shards` wrote."""
    return (folder / ".metadata").is_file()


def load_shards(model: nn.Module, optimisers: list[Optimizer], folder: Path) -> None:
    """Load a folder that `save_shards` wrote, with this or another number of processes."""
    parts, states = get_state_dict(model, optimisers)
    found = {"model": parts, "optimisers": states}
    dcp.load(found, checkpoint_id=folder)
    set_state_dict(
        model, optimisers, model_state_dict=found["model"], optim_state_dict=found["optimisers"]
    )


def gather(model: nn.Module, keep: bool) -> None:
    """Replace every sharded parameter of `model` by a plain tensor.

    The tensor is in RAM and whole with `keep`, and empty without. Every process must call this
    after its last step. The model cannot be trained afterwards.
    """
    found: dict[int, nn.Parameter] = {}  # by id, so that tied parameters stay tied
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if isinstance(parameter, DTensor):
                if id(parameter) not in found:
                    full = whole(parameter.detach())
                    full = full.cpu() if keep else full.new_empty(0)
                    found[id(parameter)] = nn.Parameter(full, requires_grad=False)
                # The optimisers keep the sharded parameters alive, so no id is used again.
                module.register_parameter(name, found[id(parameter)])
