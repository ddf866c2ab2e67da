"""N-HiTS of the library neuralforecast (Challu et al., AAAI 2023, arXiv 2201.12886).

Three residual blocks, each a multilayer perceptron, which pool the window at several rates. The
other channels are the library's exogenous inputs of the past. Sizes are those of the library: the
options `hidden` and `layers` are of the perceptron of a block.

The library's module is trained as every other forecaster here. Its own `fit` draws windows from
whole records at random and trains by absolute errors for a number of steps: the training windows,
the loss and the choice of the epoch would be others than those of the models that it stands beside.
"""

import logging

import torch
from torch import nn
from torch.nn.functional import pad

from ttt_memory.forecast.libraries import load

OPTIONS = {"hidden": 512, "layers": 3}
NEEDS_PACKAGE = "neuralforecast"
NEEDS_TARGET = True


def build(task, config, options):
    return NHITS(task, options["hidden"], options["layers"])


class NHITS(nn.Module):
    protocol = "strict"

    def __init__(self, task, hidden, layers):
        super().__init__()
        self.window, self.horizons = task.context_window, task.horizons
        others = [f"channel{number}" for number in range(task.channels - 1)]
        library = load("nhits", "neuralforecast.models")
        for name in ("lightning_fabric", "pytorch_lightning"):
            logging.getLogger(name).setLevel(logging.WARNING)
        seed = torch.randint(2**31, ()).item()
        # The library seeds torch again.
        with torch.random.fork_rng(devices=[]):
            self.model = library.NHITS(
                h=task.horizons[-1],
                input_size=self.window,
                hist_exog_list=others or None,
                mlp_units=layers * [[hidden, hidden]],
                random_seed=seed,
            )

    def forward(self, inputs):
        batch, length, channels = inputs.shape
        windows = pad(inputs, (0, 0, self.window - 1, 0)).unfold(1, self.window, 1)
        windows = windows.flatten(0, 1).transpose(1, 2)  # [B * T, window, channels]
        known = torch.ones_like(inputs[..., :1])
        mask = pad(known, (0, 0, self.window - 1, 0)).unfold(1, self.window, 1)
        forecast = self.model(
            {
                "insample_y": windows[..., -1:],
                "insample_mask": mask.flatten(0, 1).transpose(1, 2),
                "hist_exog": windows[..., :-1] if channels > 1 else None,
                "futr_exog": None,
                "stat_exog": None,
            }
        )
        steps = [horizon - 1 for horizon in self.horizons]
        return forecast.view(batch, length, -1)[..., steps]
