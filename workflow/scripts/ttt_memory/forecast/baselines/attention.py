"""Causal attention over the samples of each window, in one banded pass over the whole series.

A transformer (Vaswani et al., 2017) whose layers attend to the newest tokens alone, with a learned
bias for each lag, and to `persistent` learned tokens. A linear layer over the newest tokens of the
last layer forecasts. Layers and readout share the window: each reaches back over a part of it, and
all together over exactly the window. So a sample has the same token in every window, and no window
is read by itself; `by_windows` does that. Sizes are those of the MAC Titan.
"""

import torch
from torch import nn
from torch.nn.functional import pad

from ttt_memory.forecast.model.attention import WindowAttention

OPTIONS = {"persistent": 0}


def build(task, config, options):
    return Attention(task, config, options["persistent"])


def bands(window, parts):
    """Tokens that each part sees: the lags of all parts add up to those of the window."""
    lags, more = divmod(window - 1, parts)
    return [1 + lags + (part < more) for part in range(parts)]


class Attention(nn.Module):
    protocol = "strict"

    def __init__(self, task, config, persistent):
        super().__init__()
        self.window, self.from_last = task.context_window, config.from_last and task.observed
        *layers, self.read = bands(task.context_window, config.layers + 1)
        sizes = config.model_copy(update={"persistent": persistent})
        self.embedding = nn.Linear(task.channels, config.width)
        self.layers = nn.ModuleList([Layer(sizes, band) for band in layers])
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(self.read * config.width, len(task.horizons))

    def forward(self, inputs):
        tokens = self.embedding(inputs)
        for layer in self.layers:
            tokens = layer(tokens)
        newest = pad(self.norm(tokens), (0, 0, self.read - 1, 0)).unfold(1, self.read, 1)
        forecast = self.head(newest.flatten(2))
        return forecast + inputs[:, :, -1:] if self.from_last else forecast

    def by_windows(self, inputs):
        """What `forward` returns, with every window read by itself."""
        ends = range(1, inputs.shape[1] + 1)
        windows = [inputs[:, max(0, end - self.window) : end] for end in ends]
        return torch.stack([self(window)[:, -1] for window in windows], 1)


class Layer(nn.Module):
    """Attention to the newest `band` tokens, and a feed-forward part."""

    def __init__(self, config, band):
        super().__init__()
        self.band = band
        self.attention = WindowAttention(config, band, reads=False)
        self.attention_norm = nn.LayerNorm(config.width)
        self.feed_norm = nn.LayerNorm(config.width)
        self.feed = nn.Sequential(
            nn.Linear(config.width, config.ffn), nn.SiLU(), nn.Linear(config.ffn, config.width)
        )

    def forward(self, tokens):
        length = tokens.shape[1]
        whole = pad(self.attention_norm(tokens), (0, 0, 0, -length % self.band))
        chunks = whole.unflatten(1, (-1, self.band))
        tokens = tokens + self.attention(chunks, chunks, None).flatten(1, 2)[:, :length]
        return tokens + self.feed(self.feed_norm(tokens))
