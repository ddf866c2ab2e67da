"""Forecast the last value of the target."""

from torch import nn

from ttt_memory.errors import UserError

NEEDS_TARGET = True


def build(task, config, options):
    if not task.observed:
        raise UserError("baseline last_value needs a dataset with observe_target: true")
    return LastValue()


class LastValue(nn.Module):
    protocol = "strict"
    seedless = True

    def fit(self, train, valid):
        """There is nothing to fit."""

    def forward(self, inputs):
        return inputs[:, :, -1]
