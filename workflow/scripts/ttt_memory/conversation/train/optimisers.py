"""Which optimiser trains what."""

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
    """Muon (arXiv 2502.16982) for the matrices of the base, AdamW for everything else."""
    matrices, rest = [], []
    for name, parameter in base:
        if parameter.requires_grad:
            # Of a LoRA pair one factor starts at zero: a Muon step is as large as on a full matrix.
            outer = "embed" in name or "lm_head" in name or is_adapter(name)
            (matrices if parameter.ndim == 2 and not outer else rest).append(parameter)
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
