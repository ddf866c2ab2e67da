"""LSTM over the whole past (Hochreiter and Schmidhuber, 1997), its state reset for each series.

`width: 0` takes the width whose parameter count is nearest to the MAC Titan's without memory.
"""

from torch import nn

from ttt_memory.forecast.config import EntryConfig
from ttt_memory.forecast.model import MACTitan
from ttt_memory.forecast.strategy import load

OPTIONS = {"width": 0, "layers": 1}


def build(task, config, options):
    layers = options["layers"]
    if options["width"]:
        return LSTM(task, config, options["width"], layers)
    budget = _count(
        MACTitan(
            config,
            task.context_window,
            task.channels,
            False,
            load("no_memory", EntryConfig(file="no_memory")),
        )
    )
    sizes = range(1, 512)
    width = min(sizes, key=lambda size: abs(parameters(task.channels, size, layers) - budget))
    return LSTM(task, config, width, layers)


def parameters(channels, width, layers):
    """Parameters of an LSTM forecaster: embedding, 8 width^2 + 8 width a layer, head."""
    return (channels + 1) * width + layers * 8 * width * (width + 1) + width + 1


def _count(model):
    return sum(parameter.numel() for parameter in model.parameters())


class LSTM(nn.Module):
    protocol = "strict"

    def __init__(self, task, config, width, layers):
        super().__init__()
        self.from_last = config.from_last and task.observed
        self.embedding = nn.Linear(task.channels, width)
        self.lstm = nn.LSTM(width, width, num_layers=layers, batch_first=True)
        self.head = nn.Linear(width, 1)

    def forward(self, inputs):
        hidden, _ = self.lstm(nn.functional.silu(self.embedding(inputs)))
        forecast = self.head(hidden)[..., 0]
        return forecast + inputs[:, :, -1] if self.from_last else forecast
