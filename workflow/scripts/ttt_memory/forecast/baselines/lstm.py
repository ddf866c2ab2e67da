"""LSTM over the whole past of a series (Hochreiter and Schmidhuber, 1997).

With the option `width: 0`, the width is the one that brings the number of parameters closest to
that of the MAC Titan without memory.
"""

from torch import nn

from ttt_memory.forecast import forecaster
from ttt_memory.forecast.config import EntryConfig

OPTIONS = {"width": 0, "layers": 1}


def build(task, config, options):
    layers = options["layers"]
    if options["width"]:
        return LSTM(task, config, options["width"], layers)
    name = "no_memory"
    without = forecaster.build(name, EntryConfig(file=name), "strategy", task, config)
    wanted = forecaster.parameters(without)
    sizes = range(1, 512)
    horizons = len(task.horizons)
    width = min(
        sizes, key=lambda size: abs(parameters(task.channels, size, layers, horizons) - wanted)
    )
    return LSTM(task, config, width, layers)


def parameters(channels, width, layers, horizons):
    """Number of parameters: embedding, 8 width^2 + 8 width per layer, head."""
    inner = layers * 8 * width * (width + 1)
    return (channels + 1) * width + inner + horizons * (width + 1)


class LSTM(nn.Module):
    protocol = "strict"

    def __init__(self, task, config, width, layers):
        super().__init__()
        self.from_last = config.from_last and task.observed
        self.embedding = nn.Linear(task.channels, width)
        self.lstm = nn.LSTM(width, width, num_layers=layers, batch_first=True)
        self.head = nn.Linear(width, len(task.horizons))

    def forward(self, inputs):
        hidden, _ = self.lstm(nn.functional.silu(self.embedding(inputs)))
        forecast = self.head(hidden)
        return forecast + inputs[:, :, -1:] if self.from_last else forecast
