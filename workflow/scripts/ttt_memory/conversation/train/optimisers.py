"""The optimisers of a training, and the parameters that each of them trains."""

from collections.abc import Iterable

import torch
from torch import nn

from ...errors import UserError
from ...fast_weights.base_model import is_adapter
from ..config.training import OptimiserConfig
from .muon import Muon


def build_optimisers(
    base: Iterable[tuple[str, nn.Parameter]], fast: Iterable[nn.Parameter], config: OptimiserConfig
) -> list[torch.optim.Optimizer]:
    """Muon (arXiv 2502.16982) for the matrices of the base, and AdamW for everything else.

    Args:
        base: names and parameters of the base; those without gradients are left out.
        fast: parameters of the fast weights.
        config: learning rates and weight decay.

    Returns:
        The optimisers, whose groups have `peak_lr`, the learning rate to scale by a schedule.

    Raises:
        UserError: there is nothing to train.
    """
    matrices, rest = [], []
    for name, parameter in base:
        if parameter.requires_grad:
            # LoRA factors are left out of Muon: its steps have the size for a full matrix, but one
            # factor of each pair starts at zero.
            other = "embed" in name or "lm_head" in name or is_adapter(name)
            (matrices if parameter.ndim == 2 and not other else rest).append(parameter)
    fast = [parameter for parameter in fast if parameter.requires_grad]
    groups = [{"params": rest, "lr": config.adam_lr}, {"params": fast, "lr": config.fast_lr}]
    groups = [group for group in groups if group["params"]]
    optimisers: list[torch.optim.Optimizer] = []
    if groups:
        optimisers.append(
            torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=config.weight_decay)
        )
    if matrices:
        optimisers.append(Muon(matrices, lr=config.muon_lr, weight_decay=config.weight_decay))
    if not optimisers:
        raise UserError("train: nothing to train (every parameter is frozen)")
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["peak_lr"] = group["lr"]
    return optimisers
