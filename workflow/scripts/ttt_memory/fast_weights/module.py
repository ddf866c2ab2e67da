"""The learned parts of one layer's memory; what was written is a `LayerState`, elsewhere."""

import torch
from torch import Tensor, nn

from .config import FastWeightsConfig
from .parallel import Rule

GATE_GAIN = 4.0  # Adam moves every weight by its rate: by this the gate learns faster
GATE_BIAS = 0.55  # gate 0.98: every token is written until the gate has learned better
GATE_STRETCH = 0.1  # the sigmoid reaches beyond 0 and 1 by this much and is cut there, so that
# a gate can close, and open, completely
PROJ_STD = 0.02  # diagonal of the projection that the published code starts from


class FastLayer(nn.Module):
    """Rate, convolution, projection and gate of one layer with hidden size d, inner size ff."""

    def __init__(self, config: FastWeightsConfig, d: int, ff: int) -> None:
        super().__init__()
        self.config, self.d, self.ff = config, d, ff
        # The rate is lr exp(log_rate): always positive, and exactly lr at the start.
        self.log_rate = nn.Parameter(torch.zeros(())) if config.learn_lr else None
        self.conv = nn.Parameter(self._conv()) if config.conv_width > 1 else None
        self.proj = nn.Parameter(self._proj()) if config.projection else None
        gated = config.gate != "none"
        self.gate_weight = nn.Parameter(torch.zeros(d)) if gated else None
        self.gate_bias = nn.Parameter(torch.tensor(GATE_BIAS)) if gated else None

    def _conv(self) -> Tensor:
        """Taps `[d, width]`: the next token, or zero, which keeps the memory silent at first."""
        taps = torch.zeros(self.d, self.config.conv_width)
        if self.config.init == "copy":
            taps[:, self.config.conv_width // 2 + 1] = 1
        return taps

    def _proj(self) -> Tensor:
        """`[d, d]`: the identity, or a small random diagonal."""
        if self.config.init == "copy":
            return torch.eye(self.d)
        return torch.diag(torch.randn(self.d) * PROJ_STD)

    def rule(self, dtype: torch.dtype) -> Rule:
        """The write rule in the memory's dtype."""
        lr = self.config.lr
        return Rule(
            lr=lr if self.log_rate is None else lr * self.log_rate.to(dtype).exp(),
            conv=None if self.conv is None else self.conv.to(dtype),
            proj=None if self.proj is None else self.proj.to(dtype),
            normalise=self.config.key_norm == "l2",
            delta=self.config.update == "delta",
        )

    def gate(self, u: Tensor) -> Tensor:
        """Write gate `[B, T]` in [0, 1] for hidden states u `[B, T, d]`.

        u gets no gradient: the gate judges what the model represents, it does not bend it. The
        cut lets the gradient through (arXiv 1308.3432): a gate that is fully open, or closed, for
        every token would otherwise never learn again.
        """
        score = GATE_GAIN * (u.detach() @ self.gate_weight.to(u) + self.gate_bias.to(u))
        soft = (1 + 2 * GATE_STRETCH) * score.sigmoid() - GATE_STRETCH
        return soft.clamp(0, 1).detach() + (soft - soft.detach())
