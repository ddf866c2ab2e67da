"""Attention over the samples of each window, with `persistent` learned tokens before them.

A transformer encoder (Vaswani et al., 2017) with learned positions is applied to each window by
itself, and a linear layer over all its tokens forecasts. Sizes are those of the MAC Titan.
"""

import torch
from torch import nn
from torch.nn.functional import pad

OPTIONS = {"persistent": 0}


def build(task, config, options):
    return Attention(task, config, options["persistent"])


class Attention(nn.Module):
    protocol = "strict"

    def __init__(self, task, config, persistent):
        super().__init__()
        self.window, self.from_last = task.context_window, config.from_last and task.observed
        tokens = persistent + task.context_window
        self.embedding = nn.Linear(task.channels, config.width)
        self.position = nn.Parameter(torch.randn(task.context_window, config.width) / 4)
        self.persistent = nn.Parameter(torch.randn(persistent, config.width) / 4)
        layer = nn.TransformerEncoderLayer(
            config.width,
            config.heads,
            config.ffn,
            dropout=0.0,
            activation=nn.functional.silu,
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.head = nn.Linear(tokens * config.width, 1)

    def forward(self, inputs):
        batch, length, _ = inputs.shape
        views = pad(inputs, (0, 0, self.window - 1, 0)).unfold(1, self.window, 1)
        x = self.embedding(views.transpose(2, 3).flatten(0, 1)) + self.position
        persistent = self.persistent.expand(len(x), *self.persistent.shape)
        hidden = self.encoder(torch.cat([persistent, x], 1))
        forecast = self.head(hidden.flatten(1)).view(batch, length)
        return forecast + inputs[:, :, -1] if self.from_last else forecast
