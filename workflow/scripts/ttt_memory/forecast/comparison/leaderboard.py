"""The leaderboard: mean errors with intervals over seeds, memory gain, paired comparison."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from ...scoring import intervals
from ..config import ComparisonConfig


def leaderboard(
    forecasts: pd.DataFrame, epochs: pd.DataFrame, config: ComparisonConfig
) -> pd.DataFrame:
    """One row per dataset and strategy, in the columns of the schema LEADERBOARD.

    Args:
        forecasts: rows of the schema FORECASTS of every experiment.
        epochs: rows of the schema EPOCHS of every experiment.
        config: what strategies are compared with, and the resampling.

    Returns:
        Within a dataset, forecasters under the strict protocol come before those under the
        published one; each group is sorted by MSE.
    """
    rows = []
    for dataset, made in forecasts.groupby("dataset", sort=False):
        costs = epochs[epochs["dataset"] == dataset]
        found = pd.DataFrame(_rows(dataset, made, costs, config))
        order = found.assign(late=found["protocol"] != "strict").sort_values(["late", "mse"])
        rows.append(order.drop(columns="late"))
    return pd.concat(rows, ignore_index=True)


def _rows(
    dataset: str, forecasts: pd.DataFrame, costs: pd.DataFrame, config: ComparisonConfig
) -> Iterator[dict]:
    parts = dict(list(forecasts.groupby("strategy", sort=False)))
    errors = {name: _by_seed(part) for name, part in parts.items()}
    for strategy, part in parts.items():
        first, cost = part.iloc[0], costs[costs["strategy"] == strategy]
        means = errors[strategy].mean(axis=1)
        yield {
            "dataset": dataset,
            "strategy": strategy,
            "kind": first["kind"],
            "protocol": first["protocol"],
            "seeds": len(means),
            "series": errors[strategy].shape[1],
            **dict(zip(("mse", "low", "high"), student(means), strict=True)),
            "mae": (part["mae"] * _weights(part)).mean(),
            "rmse": float(np.sqrt(means.mean())),
            "unit": first["unit"],
            **_gain(strategy, first["kind"], errors, config),
            **_difference(strategy, parts, errors, config),
            "parameters": first["parameters"],
            "epoch_seconds": cost["seconds"].mean(),
            "best_epoch": cost.loc[cost["best"], "epoch"].mean(),
        }


def _by_seed(part: pd.DataFrame) -> pd.DataFrame:
    """MSE of every test series: one row per seed, one column per series.

    A series without any scored position has no MSE and is left out. Forecasts that are not finite
    are never written, so they cannot be the reason for a missing MSE. A window of a longer record
    counts by its scored samples, so that a mean does not depend on how the record was cut.
    """
    weighted = part.assign(mse=part["mse"] * _weights(part))
    return weighted.pivot(index="seed", columns="series", values="mse").dropna(axis=1)


def _weights(part: pd.DataFrame) -> pd.Series:
    """How much each row counts in a mean over series and seeds; 1 on average."""
    if part["separate"].iloc[0]:
        return pd.Series(1.0, part.index)
    scored = part["scored"].map(np.sum)
    return scored / scored[scored > 0].mean()


def student(values: pd.Series) -> tuple[float, float, float]:
    """Mean, and low and high end of its 95% Student interval; NaN ends if no two values differ."""
    mean, count = float(values.mean()), len(values)
    if values.nunique() < 2:
        return mean, np.nan, np.nan
    half = stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count)
    return mean, mean - half, mean + half


def _gain(strategy: str, kind: str, errors: dict, config: ComparisonConfig) -> dict:
    """Memory gain: MSE without memory minus the strategy's MSE, paired by seed."""
    names = ("gain", "gain_low", "gain_high")
    without = errors.get(config.without_memory)
    if kind != "strategy" or strategy == config.without_memory or without is None:
        return dict.fromkeys(names, np.nan)
    both = errors[strategy].index.intersection(without.index)
    gains = without.loc[both].mean(axis=1) - errors[strategy].loc[both].mean(axis=1)
    return dict(zip(names, student(gains), strict=True))


def _difference(
    strategy: str,
    parts: dict[str, pd.DataFrame],
    errors: dict[str, pd.DataFrame],
    config: ComparisonConfig,
) -> dict:
    """MSE minus that of `config.compared_with`, on the same seeds and series, with its interval.

    Series that are records of their own are resampled, crossed with training seeds
    (`scoring.intervals`). Windows of longer records are not independent, so they are not resampled:
    the interval is Student's over seeds, and there is no p. Nothing is compared across protocols.
    """
    names = ("difference", "difference_low", "difference_high", "p")
    part, other = parts[strategy], parts.get(config.compared_with)
    if strategy == config.compared_with or other is None:
        return dict.fromkeys(names, np.nan)
    if part["protocol"].iloc[0] != other["protocol"].iloc[0]:
        return dict.fromkeys(names, np.nan)
    ours, theirs = errors[strategy], errors[config.compared_with]
    seeds = ours.index.intersection(theirs.index)
    series = ours.columns.intersection(theirs.columns)
    if seeds.empty or series.empty:
        return dict.fromkeys(names, np.nan)
    paired = ours.loc[seeds, series] - theirs.loc[seeds, series]
    if not part["separate"].iloc[0]:
        return dict(zip(names, (*student(paired.mean(axis=1)), np.nan), strict=True))
    by_series = intervals.weights(len(series), config.bootstrap, config.seed) / len(series)
    by_seed = intervals.weights(len(seeds), config.bootstrap, config.seed + 1) / len(seeds)
    draws = np.einsum("bs,bs->b", by_seed, by_series @ paired.to_numpy().T)
    low, high = intervals.percentile(draws[:, None])[:, 0]
    p = intervals.sign_flip(paired.mean(axis=0).to_numpy(), config.permutations, config.seed)
    return dict(zip(names, (float(paired.to_numpy().mean()), low, high, p), strict=True))


def table(found: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """The leaderboard of one dataset as text; a star marks the published protocol.

    All errors are in standardised units, or in their squares.
    """
    rows = found[found["dataset"] == dataset]
    shown = {
        "strategy": rows["strategy"] + rows["protocol"].map({"strict": "", "published": " *"}),
        "test MSE": _estimates(rows, "mse", "low", "high"),
        "memory gain": _estimates(rows, "gain", "gain_low", "gain_high"),
        "difference": _estimates(rows, "difference", "difference_low", "difference_high"),
        "p": [_number(value, 4) for value in rows["p"]],
        "RMSE": [_number(value, 4) for value in rows["rmse"]],
        "MAE": [_number(value, 4) for value in rows["mae"]],
        "parameters": [f"{value:,}" for value in rows["parameters"]],
        "s / epoch": [_number(value, 1) for value in rows["epoch_seconds"]],
        "seeds": rows["seeds"].astype(str),
        "series": rows["series"].astype(str),
    }
    return pd.DataFrame(shown).reset_index(drop=True)


def _estimates(rows: pd.DataFrame, *names: str) -> list[str]:
    """Values with their intervals, such as 0.01468 [0.01441, 0.01495]."""
    texts = []
    for value, low, high in rows[list(names)].to_numpy(float):
        ends = f" [{low:.5f}, {high:.5f}]" if np.isfinite(low) else ""
        texts.append(_number(value, 5) + ends)
    return texts


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"
