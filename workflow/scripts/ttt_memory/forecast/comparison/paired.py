"""Paired comparisons of forecasters on the same test series and seeds."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ...scoring import intervals
from ..config import ComparisonConfig
from ..schemas import RIVALS
from .holm import holm

LEAST = 0.01  # of the error that the window allows is a gain at all


@dataclass(frozen=True)
class Errors:
    """The errors of one forecaster on one dataset, at one horizon."""

    mse: pd.DataFrame  # of every test series: one row per seed, one column per series
    kind: str
    protocol: str
    separate: bool  # false if test series are windows of longer records

    @classmethod
    def of(cls, part: pd.DataFrame) -> "Errors":
        """Those of the rows of one forecaster, in the schema FORECASTS.

        A series without any scored position has no MSE and is left out. Forecasts that are not
        finite are never written, so they cannot be the reason for a missing MSE. A window of a
        longer record counts by its scored samples, so that a mean does not depend on how the record
        was cut.
        """
        first = part.iloc[0]
        weighted = part.assign(mse=part["mse"] * weights(part))
        table = weighted.pivot(index="seed", columns="series", values="mse").dropna(axis=1)
        return cls(table, first["kind"], first["protocol"], bool(first["separate"]))

    @property
    def by_seed(self) -> pd.Series:
        """Mean over series of each seed."""
        return self.mse.mean(axis=1)


def weights(part: pd.DataFrame) -> pd.Series:
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


def common(one: Errors, other: Errors) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The errors of both on the series and seeds that both have."""
    ours, theirs = one.mse, other.mse
    series = ours.columns.intersection(theirs.columns)
    seeds = ours.index.intersection(theirs.index)
    return ours.loc[seeds, series], theirs.loc[seeds, series]


def difference(one: Errors, other: Errors, config: ComparisonConfig) -> dict:
    """MSE of `one` minus that of `other`, with its 95% interval, p, and what both are over.

    Series that are records of their own are resampled, crossed with training seeds
    (`scoring.intervals`), and p is of a sign-flip test over series. Windows of longer records are
    not independent, so they are not resampled: interval and p are Student's over seeds. Nothing is
    compared across protocols: all values are NaN then.
    """
    names = ("difference", "difference_low", "difference_high", "p", "over")
    nothing = dict(zip(names, (np.nan, np.nan, np.nan, np.nan, ""), strict=True))
    if one.protocol != other.protocol:
        return nothing
    ours, theirs = common(one, other)
    if ours.empty:
        return nothing
    paired = ours - theirs
    if not one.separate:
        means = paired.mean(axis=1)
        p = float(stats.ttest_1samp(means, 0).pvalue) if means.nunique() > 1 else np.nan
        return dict(zip(names, (*student(means), p, "seeds"), strict=True))
    low, high = intervals.percentile(_draws(paired, config)[:, None])[:, 0]
    p = intervals.sign_flip(paired.mean(axis=0).to_numpy(), config.permutations, config.seed)
    mean = float(paired.to_numpy().mean())
    return dict(zip(names, (mean, low, high, p, "series"), strict=True))


def _draws(paired: pd.DataFrame, config: ComparisonConfig) -> np.ndarray:
    """Means [draws] of `paired` over resampled series and seeds."""
    seeds, series = paired.shape
    by_series = intervals.weights(series, config.bootstrap, config.seed) / series
    by_seed = intervals.weights(seeds, config.bootstrap, config.seed + 1) / seeds
    return np.einsum("bs,bs->b", by_seed, by_series @ paired.to_numpy().T)


def share(
    one: Errors, without: Errors | None, past: Errors | None, config: ComparisonConfig
) -> dict:
    """The share of the possible gain of a memory that a forecaster takes, with its interval.

    The possible gain is the MSE of the floor `without` memory minus that of the floor of the whole
    `past`. 0 is as good as the best forecaster that sees the window alone, 1 as the best of all;
    below 0 is worse than a window allows. All three are on the same series and seeds, and resampled
    together. NaN where a floor is missing, where series are windows of longer records, and where
    the possible gain is less than LEAST of the error: there a memory cannot help.
    """
    names = ("share", "share_low", "share_high")
    nothing = dict.fromkeys(names, np.nan)
    if without is None or past is None or not one.separate or one.protocol != past.protocol:
        return nothing
    best, ours = common(past, one)
    least, _ = common(without, one)
    if ours.empty or best.shape != ours.shape or least.shape != ours.shape:
        return nothing
    gain, possible = least - ours, least - best
    if possible.to_numpy().mean() < LEAST * least.to_numpy().mean():
        return nothing
    draws = _draws(gain, config) / _draws(possible, config)
    low, high = intervals.percentile(draws[:, None])[:, 0]
    mean = float(gain.to_numpy().mean() / possible.to_numpy().mean())
    return dict(zip(names, (mean, low, high), strict=True))


def against_rivals(forecasts: pd.DataFrame, config: ComparisonConfig) -> pd.DataFrame:
    """Every strategy against each of `config.rivals`, in the columns of the schema RIVALS.

    `p_holm` is corrected for all comparisons of a dataset at a horizon. A strategy `beats` a rival
    if that p is below 0.05 and its interval lies below zero.

    Args:
        forecasts: rows of the schema FORECASTS of every experiment.
        config: the rivals, and the resampling.
    """
    rows = []
    for (dataset, horizon), made in forecasts.groupby(["dataset", "horizon"], sort=False):
        parts = made.groupby("strategy", sort=False)
        found = {name: Errors.of(part) for name, part in parts}
        about = {"dataset": dataset, "horizon": horizon}
        rows += _corrected([about | row for row in _pairs(found, config)])
    return pd.DataFrame(rows, columns=RIVALS.names)


def _pairs(found: dict[str, Errors], config: ComparisonConfig) -> Iterator[dict]:
    rivals = [name for name in config.rivals if name in found]
    for name, errors in found.items():
        if errors.kind != "strategy" or name in rivals:
            continue
        for rival in rivals:
            row = difference(errors, found[rival], config)
            if row["over"]:
                yield {"strategy": name, "rival": rival, **row}


def _corrected(rows: list[dict]) -> list[dict]:
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row |= {"p_holm": p, "tests": len(rows)}
        row["beats"] = bool(p < 0.05 and row["difference_high"] < 0)
    return rows
