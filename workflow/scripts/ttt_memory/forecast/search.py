"""The learning rate of a forecaster, chosen on the validation part."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import UserError
from .config import TrainingConfig
from .seeds.run import Run


def best_rate(
    train: Callable[[TrainingConfig, Path | None], Run],
    rates: Sequence[float],
    config: TrainingConfig,
    label: str,
    checkpoints: Path | None,
) -> tuple[TrainingConfig, float]:
    """`config` with the learning rate of the smallest validation MSE, and the seconds all took.

    A rate with which the training fails is out. What is trained with a rate has a folder of
    checkpoints of its own, so that a search that was interrupted goes on where it was.

    Args:
        train: trains one seed with settings and a folder of checkpoints, to its end.
        rates: at least one.
        config: the other settings.
        label: names strategy and dataset in progress lines and errors.
        checkpoints: the forecaster's folder; None saves nothing.

    Raises:
        UserError: the training fails with every rate.
    """
    found, seconds, failure = {}, 0.0, None
    for rate in rates:
        settings = config.model_copy(update={"learning_rate": rate})
        run = train(settings, checkpoints / f"rate-{rate:g}" if checkpoints else None)
        seconds += sum(row["seconds"] for row in run.progress.rows)
        if run.failure:
            failure = run.failure
            print(f"{label}: learning rate {rate:g} failed: {run.failure}", flush=True)
            continue
        found[rate] = run.progress.best
        print(f"{label}: learning rate {rate:g}, validation MSE {found[rate]:.5f}", flush=True)
    if not found:
        raise UserError(f"{label}: failed with every learning rate of the search: {failure}")
    best = min(found, key=found.get)
    print(f"{label}: trained with learning rate {best:g}", flush=True)
    return config.model_copy(update={"learning_rate": best}), seconds
