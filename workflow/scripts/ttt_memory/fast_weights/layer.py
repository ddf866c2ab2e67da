"""The learned parts of one layer's fast weights. What was written is a `LayerState`, elsewhere."""

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from .config import FastWeightsConfig
from .write import KeysAndValues

GATE_START = 0.5  # every token is half written at first
PROJ_STD = 0.02  # diagonal of the projection that the published code starts from


class FastLayer(nn.Module):
    """Rate, recency, convolution, projection and gate of one layer of hidden size d, inner ff."""

    def __init__(self, config: FastWeightsConfig, d: int, ff: int) -> None:
        super().__init__()
        self.config, self.d, self.ff = config, d, ff
        # The rate is lr exp(log_rate): always positive, and exactly lr at the start.
        self.log_rate = nn.Parameter(torch.zeros(())) if config.learn_lr else None
        start = torch.tensor(config.recency).logit()
        self.recency_logit = nn.Parameter(start) if config.learn_recency else None
        self.conv = nn.Parameter(self._conv()) if config.conv_width > 1 else None
        self.proj = nn.Parameter(self._proj()) if config.projection else None
        gated = config.gate != "none"
        self.gate_weight = nn.Parameter(torch.zeros(d)) if gated else None
        self.gate_bias = nn.Parameter(torch.tensor(GATE_START)) if gated else None

    def _conv(self) -> Tensor:
        """Taps `[d, width]`: the next token, or zero, with which nothing is written at first."""
        taps = torch.zeros(self.d, self.config.conv_width)
        if self.config.init == "copy":
            taps[:, self.config.conv_width // 2 + 1] = 1
        return taps

    def _proj(self) -> Tensor:
        """`[d, d]`: the identity, or a small random diagonal."""
        if self.config.init == "copy":
            return torch.eye(self.d)
        return torch.diag(torch.randn(self.d) * PROJ_STD)

    def is_new(self) -> bool:
        """Whether every learned part is as it was made; False where there is none."""
        with torch.random.fork_rng(devices=[]):
            made = FastLayer(self.config, self.d, self.ff).state_dict()
        if self.proj is not None and self.config.init != "copy":
            made["proj"] = self.proj.diag().diag()  # drawn at random, but for the zeros beside it
        found = self.state_dict()
        return bool(made) and all(torch.equal(found[n], made[n].to(found[n])) for n in made)

    def keys_and_values(self, dtype: torch.dtype) -> KeysAndValues:
        """How keys and values are made, in the state's dtype."""
        lr = self.config.lr
        return KeysAndValues(
            rate=lr if self.log_rate is None else lr * self.log_rate.to(dtype).exp(),
            conv=None if self.conv is None else self.conv.to(dtype),
            proj=None if self.proj is None else self.proj.to(dtype),
            normalise=self.config.key_norm == "l2",
        )

    def recency(self, dtype: torch.dtype) -> Tensor | float:
        """What all that the layer holds is multiplied by when a text begins, in (0, 1]."""
        logit = self.recency_logit
        return self.config.recency if logit is None else logit.to(dtype).sigmoid()

    def gate(self, u: Tensor) -> Tensor:
        """Write gate `[B, T]` in [0, 1] for hidden states u `[B, T, d]`.

        u gets no gradient: the gate learns from the model's representations without changing them.
        """
        u = F.normalize(u.detach(), dim=-1)
        return ClampedGate.apply(u @ self.gate_weight.to(u) + self.gate_bias.to(u))


class ClampedGate(torch.autograd.Function):
    """Clamp to [0, 1]; the gradient is stopped only where a step would lead further out.

    So a gate can close and open completely, does not drift beyond, and can always come back.
    Behind a sigmoid or a plain clamp, a gate that was open for every token stopped learning.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, score: Tensor) -> Tensor:
        """`score` clamped to [0, 1]."""
        ctx.save_for_backward(score)
        return score.clamp(0, 1)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        """The gradient, or zero where a step against it would lead out of [0, 1]."""
        (score,) = ctx.saved_tensors
        outward = (score >= 1) & (gradient < 0) | (score <= 0) & (gradient > 0)
        return gradient.masked_fill(outward, 0)
