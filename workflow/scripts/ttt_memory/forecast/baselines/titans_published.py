"""The MAC Titan under the published protocol: one memory shared by all series, never reset.

Its forecasts depend on later samples (see `ttt_memory.forecast.published.titan`), so tables mark
it as `published` and compare it with nothing. OPTIONS are the sizes and rates that the publication
fixes.
"""

from torch import nn

from ttt_memory.forecast.published.titan import PublishedTitan, Rates

OPTIONS = {
    "ffn": 2048,
    "dropout": 0.1,
    "depth": 2,
    "hidden": 32,
    "alpha": 0.999,
    "eta": 0.9,
    "theta": 0.01,
}


def build(task, config, options):
    rates = Rates(options["alpha"], options["eta"], options["theta"])
    titan = PublishedTitan(
        task.channels,
        config.width,
        task.context_window,
        config.persistent,
        config.layers,
        options["hidden"],
        options["depth"],
        options["ffn"],
        options["dropout"],
        rates,
        len(task.horizons),
    )
    return Carried(titan)


class Carried(nn.Module):
    """Keeps the memory from one call to the next, in training and test, as published."""

    protocol = "published"

    def __init__(self, titan):
        super().__init__()
        self.titan = titan
        for index, state in enumerate(titan.start()):
            for name, tensor in state.items():
                self.register_buffer(f"memory{index}_{name}", tensor)

    def forward(self, inputs):
        memory = [
            {name: getattr(self, f"memory{index}_{name}") for name in start}
            for index, start in enumerate(self.titan.start())
        ]
        forecast, memory = self.titan(inputs, memory)
        for index, state in enumerate(memory):
            for name, tensor in state.items():
                setattr(self, f"memory{index}_{name}", tensor)
        return forecast
