"""The MAC Titan under the published protocol: one memory shared by all series, never reset.

Its forecasts are not causal (see `ttt_memory.forecast.published`); it stands in the tables as
`published`, never beside strict ones. Sizes that the publication fixes are OPTIONS.
"""

from torch import nn

from ttt_memory.forecast.published_titan import PublishedTitan, Rates

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
    )
    return Carried(titan)


class Carried(nn.Module):
    """Carries the memory from call to call, training and test alike, as was published."""

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
