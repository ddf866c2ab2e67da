"""The strict MAC Titan: memory as context, one memory per series, every forecast causal.

A forecast of x[t] sees x[t - C .. t - 1] directly and older samples only through the memory,
which at t holds the chunks of C samples that were complete before t's own chunk began. Local
attention runs for all positions at once; only the scan over the memory is sequential.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from .attention import WindowAttention
from .config import ModelConfig
from .memory import Memory, Scan
from .strategy import Strategy


class MACLayer(nn.Module):
    """One layer: read the memory, attend over window, persistent memory and read, feed forward,
    gate the result by a second read (Titans, arXiv 2501.00663, equations 21 to 25, with the
    memory written from the layer's input, so that the scan does not wait for the attention).
    """

    def __init__(self, config: ModelConfig, context_window: int, strategy: Strategy):
        super().__init__()
        memory = Memory(strategy, config.width, config.memory)
        self.memory = memory if memory.enabled else None
        self.attention = WindowAttention(config, context_window, reads=memory.enabled)
        self.attention_norm = nn.LayerNorm(config.width)
        self.feed_norm = nn.LayerNorm(config.width)
        self.feed = nn.Sequential(
            nn.Linear(config.width, config.ffn), nn.SiLU(), nn.Linear(config.ffn, config.width)
        )
        self.gate = nn.Linear(config.width, config.width) if memory.enabled else None

    def forward(self, stream: Tensor, samples: Tensor) -> tuple[Tensor, Scan | None]:
        """One layer over stream and samples [B, n, C, E]; the new stream and the memory's scan."""
        scan = read = None
        if self.memory is not None:
            scan = self.memory.scan(stream)
            read = self.memory.read(scan, stream)
        update = self.attention(self.attention_norm(stream), samples, read)
        update = update + self.feed(self.feed_norm(stream + update))
        if self.memory is not None:
            # Twice the sigmoid: an empty memory leaves the update as it is.
            gate = self.memory.read(scan, self.gate(stream + update))
            update = update * 2 * torch.sigmoid(gate)
        return stream + update, scan


class MACTitan(nn.Module):
    """Forecaster of the next target from C samples in view and the memory of older ones."""

    protocol = "strict"

    def __init__(
        self,
        config: ModelConfig,
        context_window: int,
        channels: int,
        from_last: bool,
        strategy: Strategy,
    ):
        super().__init__()
        self.context_window, self.from_last = context_window, from_last
        self.embedding = nn.Linear(channels, config.width)
        self.window = nn.Linear(context_window * channels, config.width)
        self.layers = nn.ModuleList(
            [MACLayer(config, context_window, strategy) for _ in range(config.layers)]
        )
        self.head = nn.Linear(config.width, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Forecasts of the next target at every position.

        Args:
            inputs: [B, T, channels]; with `from_last`, the last channel is the target.

        Returns:
            [B, T]; entry t is made from samples up to t and forecasts the target at t + 1.
        """
        return self.run(inputs)[0]

    def run(self, inputs: Tensor) -> tuple[Tensor, list[Scan | None]]:
        """`forward`, and what each layer's memory went through."""
        length, window = inputs.shape[1], self.context_window
        # Samples appended to fill the last chunk stand behind every forecast that is returned.
        padded = pad(inputs, (0, 0, 0, -length % window))
        views = pad(padded, (0, 0, window - 1, 0)).unfold(1, window, 1).flatten(2)
        stream = self.window(views).unflatten(1, (-1, window))
        samples = self.embedding(padded).unflatten(1, (-1, window))
        scans = []
        for layer in self.layers:
            stream, scan = layer(stream, samples)
            scans.append(scan)
        forecast = self.head(stream).flatten(1)[:, :length]
        if self.from_last:
            forecast = forecast + inputs[:, :, -1]
        return forecast, scans
