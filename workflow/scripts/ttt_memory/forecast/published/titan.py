"""The MAC Titan under the published protocol, kept for comparison with the published numbers.

Its memory differs from the strict one's. It is one network for all series, and it is never reset.
All windows of a batch are written to it together, and the windows of a chunk are gated by a
memory that already holds the chunk's later samples. So a forecast depends on the other series of
the batch, on earlier calls and, through the memory, on later samples. Gradients reach the outer
parameters only: keys and values are fixed random maps, and the memory enters as a constant.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, silu

from .. import network
from ..network import State


@dataclass(frozen=True)
class Rates:
    """Rates of an update: alpha keeps memory, eta keeps momentum, theta takes the gradient.

    The defaults are the published ones.
    """

    alpha: float = 0.999
    eta: float = 0.9
    theta: float = 0.01


class SharedMemory(nn.Module):
    """Memory network with fixed random maps to keys and values.

    Its state is a dictionary of weights and momenta, each with a leading dimension of 1.
    """

    def __init__(self, width: int, hidden: int, depth: int, rates: Rates):
        super().__init__()
        self.rates = rates
        weights = network.start(width, hidden, depth)
        momenta = network.zeros(weights, "momentum_")
        self.start = {name: tensor.detach() for name, tensor in (weights | momenta).items()}
        bound = (3 / width) ** 0.5  # Xavier
        self.register_buffer("key", torch.empty(width, width).uniform_(-bound, bound))
        self.register_buffer("value", torch.empty(width, width).uniform_(-bound, bound))

    def update(self, state: State, x: Tensor) -> tuple[Tensor, State]:
        """Write tokens x [N, E] together; returns the loss before the write (scalar) and the state.

        L = mean_t ||M(k_t) - v_t||^2, S <- eta S - theta grad L, M <- alpha M + S.
        """
        with torch.no_grad():
            keys = normalize(silu(x @ self.key.T), dim=-1)
            values = silu(x @ self.value.T)
            recalled, pullback = network.vjp(state, keys.unsqueeze(0))
            error = recalled[0] - values
            loss = error.square().sum(-1).mean()
            new = {}
            for name, gradient in pullback(2 / len(x) * error.unsqueeze(0)).items():
                momentum = self.rates.eta * state[f"momentum_{name}"] - self.rates.theta * gradient
                new[f"momentum_{name}"] = momentum
                new[name] = self.rates.alpha * state[name] + momentum
        return loss, new


class PublishedLayer(nn.Module):
    """One layer: read, attend, mix all tokens of a window, write, gate by the new memory."""

    def __init__(
        self,
        width: int,
        window: int,
        persistent: int,
        memory: SharedMemory,
        ffn: int,
        dropout: float,
    ):
        super().__init__()
        tokens = persistent + 2 * window
        self.persistent = nn.Parameter(torch.randn(persistent, width))
        self.attention = nn.TransformerEncoderLayer(
            width,
            nhead=2,
            dim_feedforward=ffn,
            dropout=dropout,
            activation=nn.SiLU(),
            batch_first=True,
        )
        self.query = nn.Linear(width, width)
        self.memory = memory
        self.mix = nn.Linear(tokens * width, window * width)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The layer's output for W windows x [W, C, E], of the same shape, and the new memory."""
        windows, _, width = x.shape
        queries = silu(normalize(self.query(x).reshape(1, -1, width), dim=-1))
        read = network.forward(state, queries).view(x.shape)
        persistent = self.persistent.expand(windows, -1, -1)
        mixed = self.attention(torch.cat([persistent, read, x], 1)).flatten(1)
        y = self.mix(silu(mixed)).view(1, -1, width)
        _, state = self.memory.update(state, y[0].detach())
        gate = network.forward(state, normalize(self.query(y), dim=-1))
        return (y * torch.sigmoid(gate)).view(x.shape), state


class PublishedTitan(nn.Module):
    """The published forecaster; the defaults are the published sizes, with one horizon, H = 1.

    The windows of C samples are processed by themselves, C consecutive windows of every series at
    a time.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        window: int,
        persistent: int = 4,
        layers: int = 2,
        hidden: int = 32,
        depth: int = 2,
        ffn: int = 2048,
        dropout: float = 0.1,
        rates: Rates | None = None,
        horizons: int = 1,
    ):
        super().__init__()
        self.window = window
        rates = rates or Rates()
        self.embedding = nn.Linear(channels, width)
        self.layers = nn.ModuleList(
            [
                PublishedLayer(
                    width,
                    window,
                    persistent,
                    SharedMemory(width, hidden, depth, rates),
                    ffn,
                    dropout,
                )
                for _ in range(layers)
            ]
        )
        self.head = nn.Linear(width * window, horizons)

    def start(self) -> list[State]:
        """The memory of each layer before the first call."""
        device = self.embedding.weight.device
        return [
            {name: tensor.to(device) for name, tensor in layer.memory.start.items()}
            for layer in self.layers
        ]

    def forward(self, inputs: Tensor, memory: list[State]) -> tuple[Tensor, list[State]]:
        """Forecasts [B, T, H] of inputs [B, T, channels], and the memory of each layer afterwards.

        Entry [t, h] forecasts the target at t plus the horizon h; the first C - 1 rows are 0.
        """
        batch, _, channels = inputs.shape
        views = inputs.unfold(1, self.window, 1).transpose(2, 3)  # [B, T - C + 1, C, channels]
        memory, forecasts = list(memory), []
        for chunk in views.split(self.window, 1):
            x = self.embedding(chunk.reshape(-1, self.window, channels))
            for index, layer in enumerate(self.layers):
                update, memory[index] = layer(x, memory[index])
                x = x + silu(update)
            forecasts.append(self.head(x.flatten(1)).unflatten(0, (batch, -1)))
        first = inputs.new_zeros(batch, self.window - 1, self.head.out_features)
        return torch.cat([first, *forecasts], 1), memory
