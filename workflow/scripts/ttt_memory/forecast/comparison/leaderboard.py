"""The leaderboard: mean errors with intervals over seeds, memory gain, paired comparison."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ..config import ComparisonConfig
from .holm import holm
from .paired import Errors, difference, share, student, weights


def leaderboard(
    forecasts: pd.DataFrame, epochs: pd.DataFrame, config: ComparisonConfig
) -> pd.DataFrame:
    """One row per dataset, horizon and strategy, in the columns of the schema LEADERBOARD.

    Args:
        forecasts: rows of the schema FORECASTS of every experiment.
        epochs: rows of the schema EPOCHS of every experiment.
        config: what strategies are compared with, and the resampling.

    Returns:
        Within a dataset and horizon, forecasters under the strict protocol come before those under
        the published one; each group is sorted by MSE.
    """
    rows = []
    for (dataset, horizon), made in forecasts.groupby(["dataset", "horizon"], sort=False):
        costs = epochs[epochs["dataset"] == dataset]
        about = {"dataset": dataset, "horizon": horizon}
        found = pd.DataFrame(about | row for row in _rows(made, costs, config))
        found["p_holm"] = holm(found["p"])
        order = found.assign(late=found["protocol"] != "strict").sort_values(["late", "mse"])
        rows.append(order.drop(columns="late"))
    return pd.concat(rows, ignore_index=True)


def _rows(forecasts: pd.DataFrame, costs: pd.DataFrame, config: ComparisonConfig) -> Iterator[dict]:
    """The forecasters of one dataset and horizon."""
    parts = dict(list(forecasts.groupby("strategy", sort=False)))
    errors = {name: Errors.of(part) for name, part in parts.items()}
    for strategy, part in parts.items():
        own, cost = errors[strategy], costs[costs["strategy"] == strategy]
        yield {
            "strategy": strategy,
            "kind": own.kind,
            "protocol": own.protocol,
            "seeds": own.mse.shape[0],
            "series": own.mse.shape[1],
            **dict(zip(("mse", "low", "high"), student(own.by_seed), strict=True)),
            "mae": (part["mae"] * weights(part)).mean(),
            "rmse": float(np.sqrt(own.by_seed.mean())),
            "unit": part["unit"].iloc[0] if part["unit"].nunique() == 1 else np.nan,
            **_gain(strategy, errors, config),
            **_difference(strategy, errors, config),
            **_share(strategy, errors, config),
            "parameters": part["parameters"].iloc[0],
            "epoch_seconds": cost["seconds"].mean(),
            "epochs": cost["epoch"].max(),
            "best_epoch": cost.loc[cost["best"], "epoch"].mean(),
            **flatness(cost, config.flat_tolerance),
        }


def _gain(strategy: str, errors: dict[str, Errors], config: ComparisonConfig) -> dict:
    """Memory gain: MSE without memory minus the strategy's MSE, paired by seed."""
    names = ("gain", "gain_low", "gain_high")
    own, without = errors[strategy], errors.get(config.without_memory)
    if own.kind != "strategy" or strategy == config.without_memory or without is None:
        return dict.fromkeys(names, np.nan)
    both = own.mse.index.intersection(without.mse.index)
    gains = without.by_seed.loc[both] - own.by_seed.loc[both]
    return dict(zip(names, student(gains), strict=True))


def _difference(strategy: str, errors: dict[str, Errors], config: ComparisonConfig) -> dict:
    """The comparison with `config.compared_with`; NaN for itself, and where it is missing."""
    names = ("difference", "difference_low", "difference_high", "p")
    own, other = errors[strategy], errors.get(config.compared_with)
    if own is other or other is None:
        return dict.fromkeys(names, np.nan)
    found = difference(own, other, config)
    return {name: found[name] for name in names}


def _share(strategy: str, errors: dict[str, Errors], config: ComparisonConfig) -> dict:
    floors = (errors.get(name) for name in (config.floor_of_window, config.floor_of_past))
    return share(errors[strategy], *floors, config)


def flatness(curve: pd.DataFrame, tolerance: float) -> dict:
    """How much the validation MSE still fell at the end of training, and in how many seeds.

    `late_fall` is the fall of the best validation MSE in the last fifth of the epochs, as a share
    of the best, mean over seeds; a seed whose fall is more than `tolerance` is `not_flat`. NaN and
    0 for a forecaster that is fitted and has one epoch.

    Args:
        curve: rows of the schema EPOCHS of one forecaster on one dataset.
        tolerance: a share.
    """
    falls = []
    for _, rows in curve.sort_values("epoch").groupby("seed"):
        errors = rows["valid_mse"].to_numpy()
        before = len(errors) * 4 // 5
        if before:
            falls.append(errors[:before].min() / errors.min() - 1)
    fall = float(np.mean(falls)) if falls else np.nan
    return {"late_fall": fall, "not_flat": sum(found > tolerance for found in falls)}


def table(found: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """The leaderboard of one dataset as text, horizon by horizon.

    A star marks the published protocol. All errors are in standardised units, or in their squares.
    """
    rows = found[found["dataset"] == dataset]
    shown = {
        "strategy": rows["strategy"] + rows["protocol"].map({"strict": "", "published": " *"}),
        "horizon": rows["horizon"].astype(str),
        "test MSE": _estimates(rows, "mse", "low", "high"),
        "memory gain": _estimates(rows, "gain", "gain_low", "gain_high"),
        "difference": _estimates(rows, "difference", "difference_low", "difference_high"),
        "p (Holm)": [_number(value, 4) for value in rows["p_holm"]],
        "share of possible gain": _estimates(rows, "share", "share_low", "share_high", digits=2),
        "RMSE": [_number(value, 4) for value in rows["rmse"]],
        "MAE": [_number(value, 4) for value in rows["mae"]],
        "parameters": [f"{value:,}" for value in rows["parameters"]],
        "s / epoch": [_number(value, 1) for value in rows["epoch_seconds"]],
        "not flat": [_not_flat(row) for row in rows.to_dict("records")],
        "seeds": rows["seeds"].astype(str),
        "series": rows["series"].astype(str),
    }
    return pd.DataFrame(shown).reset_index(drop=True)


def rivals_table(found: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """The comparisons of one dataset as text, in the columns of the schema RIVALS."""
    rows = found[found["dataset"] == dataset]
    ends = ("difference", "difference_low", "difference_high")
    shown = {
        "strategy": rows["strategy"],
        "horizon": rows["horizon"].astype(str),
        "against": rows["rival"],
        "difference of MSE": _estimates(rows, *ends),
        "p": [_number(value, 4) for value in rows["p"]],
        "p (Holm)": [_number(value, 4) for value in rows["p_holm"]],
        "comparisons": rows["tests"].astype(str),
        "beats it": rows["beats"].map({True: "yes", False: "no"}),
    }
    return pd.DataFrame(shown).reset_index(drop=True)


def _not_flat(row: dict) -> str:
    """In how many seeds the validation MSE still fell at the end; empty if in none."""
    if not row["not_flat"]:
        return ""
    return f"{row['not_flat']} of {row['seeds']}, by {100 * row['late_fall']:.1f}%"


def _estimates(rows: pd.DataFrame, *names: str, digits: int = 5) -> list[str]:
    """Values with their intervals, such as 0.01468 [0.01441, 0.01495]."""
    texts = []
    for value, low, high in rows[list(names)].to_numpy(float):
        ends = f" [{low:.{digits}f}, {high:.{digits}f}]" if np.isfinite(low) else ""
        texts.append(_number(value, digits) + ends)
    return texts


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"
