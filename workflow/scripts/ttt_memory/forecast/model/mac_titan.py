"""The MAC Titan ("memory as context") under the strict protocol.

A forecast of x[t] sees x[t - C .. t - 1] directly, where C is the context window. It sees older
samples only through the memory, which holds the chunks of C samples that ended before t's own
chunk began. Each series has its own memory. Attention runs for all positions at once; only the
scan over the memory is sequential.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..config import ModelConfig
from ..network import State
from ..strategy import Strategy
from .attention import WindowAttention
from .memory import Memory, Scan


class MACLayer(nn.Module):
    """One layer: read the memory, attend, feed forward, and gate the result by a second read.

    Titans, arXiv 2501.00663, equations 21 to 25, with one difference: the memory is written from
    the layer's input instead of its output, so the scan does not wait for the attention.
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
        """The layer's output [B, n, C, E] and the scan of its memory.

        Args:
            stream: the layer's input, [B, n, C, E]: n chunks of C tokens.
            samples: the embedded samples of the window, same shape.
        """
        scan = None if self.memory is None else self.memory.scan(stream)
        return self.attend(stream, samples, scan.states if scan else {}), scan

    def attend(self, stream: Tensor, samples: Tensor, states: State) -> Tensor:
        """The layer's output [B, n, C, E] with its memory in `states` [B * n, ...]."""
        read = None if self.memory is None else self.memory.read(states, stream)
        update = self.attention(self.attention_norm(stream), samples, read)
        update = update + self.feed(self.feed_norm(stream + update))
        if self.memory is not None:
            # An empty memory returns 0, and 2 * sigmoid(0) = 1 leaves the update as it is.
            gate = self.memory.read(states, self.gate(stream + update))
            update = update * 2 * torch.sigmoid(gate)
        return stream + update


class MACTitan(nn.Module):
    """Forecaster with a memory: `layers` MAC layers over an embedding of each window.

    Args:
        config: sizes of the model.
        context_window: C, the samples that a forecast sees directly.
        channels: input channels.
        from_last: whether to forecast the change from the last input channel, the target.
        strategy: how the memory is written and read.
        horizons: H, the number of targets that are forecast at each position.
    """

    protocol = "strict"

    def __init__(
        self,
        config: ModelConfig,
        context_window: int,
        channels: int,
        from_last: bool,
        strategy: Strategy,
        horizons: int = 1,
    ):
        super().__init__()
        self.context_window, self.from_last = context_window, from_last
        self.embedding = nn.Linear(channels, config.width)
        self.window = nn.Linear(context_window * channels, config.width)
        self.layers = nn.ModuleList(
            [MACLayer(config, context_window, strategy) for _ in range(config.layers)]
        )
        self.head = nn.Linear(config.width, horizons)

    def forward(self, inputs: Tensor) -> Tensor:
        """Forecasts of later targets at every position.

        Args:
            inputs: [B, T, channels] float32; with `from_last`, the last channel is the target.

        Returns:
            [B, T, H]; entry [t, h] depends on samples up to t and forecasts the target at t plus
            the horizon h.
        """
        return self.run(inputs)[0]

    def run(self, inputs: Tensor) -> tuple[Tensor, list[Scan | None]]:
        """What `forward` returns, and the scan of each layer's memory (None without memory)."""
        stream, samples = self.embed(inputs)
        scans = []
        for layer in self.layers:
            stream, scan = layer(stream, samples)
            scans.append(scan)
        return self.forecast(stream, inputs), scans

    def embed(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Of inputs [B, T, channels], the windows and the samples: both [B, n, C, E]."""
        window = self.context_window
        # The samples that fill the last chunk come after t for every forecast that is returned.
        padded = pad(inputs, (0, 0, 0, -inputs.shape[1] % window))
        views = pad(padded, (0, 0, window - 1, 0)).unfold(1, window, 1).flatten(2)
        stream = self.window(views).unflatten(1, (-1, window))
        return stream, self.embedding(padded).unflatten(1, (-1, window))

    def forecast(self, stream: Tensor, inputs: Tensor) -> Tensor:
        """Forecasts [B, T, H] from the last layer's output [B, n, C, E] and the inputs."""
        forecast = self.head(stream).flatten(1, 2)[:, : inputs.shape[1]]
        return forecast + inputs[:, :, -1:] if self.from_last else forecast
