"""The best forecast that is possible on a dataset whose recipe is known; nothing is trained.

With the option `sees: window`, from the samples of the window alone; with `past`, from the whole
past of a series. Its forecasts stand beside those that they bound, on the same series and samples.
"""

import torch
from torch import nn

from ttt_memory.errors import UserError
from ttt_memory.forecast.floors.sine import SineFloor
from ttt_memory.forecast.floors.switch import SwitchFloor
from ttt_memory.forecast.series.config import SineDataset, SwitchDataset

OPTIONS = {"sees": "past"}

NEEDS_RECIPE = True
NEEDS_HORIZON_1 = True
FLOORS = {SineDataset: SineFloor, SwitchDataset: SwitchFloor}


def build(task, config, options):
    if type(task.recipe) not in FLOORS:
        raise UserError("baseline floor: found another source, expected sine or switch")
    if options["sees"] not in ("window", "past"):
        raise UserError(f"baseline floor: sees is {options['sees']!r}, expected window or past")
    window = task.context_window if options["sees"] == "window" else None
    return Floor(FLOORS[type(task.recipe)](task.recipe), window)


class Floor(nn.Module):
    protocol = "strict"
    seedless = True
    kind = "floor"

    def __init__(self, best, window):
        super().__init__()
        self.best, self.window = best, window

    def fit(self, train, valid):
        """It knows how the series are made, so there is nothing to learn from them."""

    def forward(self, inputs):
        rows = inputs[..., -1].cpu()
        made = self.best.window(rows, self.window) if self.window else self.best.past(rows)
        return made.to(inputs.device, torch.float32)
