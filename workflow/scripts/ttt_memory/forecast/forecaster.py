"""Build a forecaster from a configuration entry: a MAC Titan with a strategy, or a baseline."""

from dataclasses import dataclass

from torch import Tensor, nn

from ..errors import UserError
from .config import EntryConfig, ModelConfig
from .model.mac_titan import MACTitan
from .series.config import Dataset
from .series.dataset import Series
from .strategy import BASELINES, import_file, load, options_of, path_of
from .strategy_checks import check


@dataclass(frozen=True)
class Task:
    """What a forecaster is given. `context_window` counts the samples that it sees directly."""

    context_window: int
    channels: int
    observed: bool  # the last channel is the past of the target
    recipe: Dataset | None = None  # how the dataset is made, for those that may know it
    horizons: tuple[int, ...] = (1,)  # how many samples ahead it forecasts, ascending

    @classmethod
    def of(cls, series: Series, recipe: Dataset) -> "Task":
        """The task of a dataset."""
        seen = recipe.context_window, len(series.channels), series.observed
        return cls(*seen, recipe, recipe.horizons)


def build(name: str, entry: EntryConfig, kind: str, task: Task, config: ModelConfig) -> nn.Module:
    """The forecaster `name`; `kind` is "strategy" or "baseline".

    Called with inputs [B, T, channels], it returns [B, T, H] for H horizons: entry [t, h] forecasts
    the target at t + task.horizons[h]. A baseline's file may return [B, T] for one horizon.
    A forecaster with a method `fit(train, valid)` is fitted by it; others are trained by gradient.
    If its attribute `seedless` is true, one fit is for all seeds.

    Raises:
        UserError: the entry's file is missing, does not define what it must, or needs the past of
            the target, which the task hides.
    """
    if kind == "strategy":
        strategy = load(name, entry)
        check(strategy, config)
        from_last = config.from_last and task.observed
        horizons = len(task.horizons)
        return MACTitan(config, task.context_window, task.channels, from_last, strategy, horizons)
    what, path = f"baseline {name!r}", path_of(entry, BASELINES)
    module = import_file(what, path, BASELINES)
    if not callable(getattr(module, "build", None)):
        raise UserError(
            f"{what} ({path}): function build(task, config, options) is missing; a baseline must"
            " define it"
        )
    if getattr(module, "NEEDS_TARGET", False) and not task.observed:
        raise UserError(f"{what} needs a dataset with observe_target: true")
    options = options_of(what, getattr(module, "OPTIONS", {}), entry)
    model = module.build(task, config, options)
    model.register_forward_hook(_with_horizons)
    return model


def _with_horizons(model: nn.Module, inputs: tuple, forecast: Tensor) -> Tensor:
    """Forecasts [B, T] as [B, T, 1]; others as they are."""
    short = isinstance(forecast, Tensor) and forecast.dim() == 2
    return forecast.unsqueeze(-1) if short else forecast


def parameters(model: nn.Module) -> int:
    """Number of trained or fitted values of a forecaster."""
    fitted = hasattr(model, "fit")
    return sum(part.numel() for part in model.parameters() if fitted or part.requires_grad)
