"""Statistics of rows that tables, figures and text share."""

import pandas as pd


def over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Diagnostics (the columns of `schemas.DIAGNOSTICS`) averaged over the seeds of each run.

    The interval goes from the lowest lower end of any seed to the highest upper end, which is
    wider than an interval of the mean. `n` is the number of dialogues of one seed.
    """
    groups = rows.groupby(["run", "statistic", "layer", "segment"], sort=False)
    return groups.agg(
        value=("value", "mean"),
        low=("low", "min"),
        high=("high", "max"),
        n=("n", "max"),
        seeds=("seed", "nunique"),
    ).reset_index()


def losses_by_objective(curve: pd.DataFrame) -> pd.DataFrame:
    """Training curves with one row per step and objective.

    A step of the objective write_drop_read may also have the loss of condition A. It becomes a row
    of the objective "context".
    """
    also = curve[curve["context_loss"].notna()]
    also = also.assign(objective="context", loss=also["context_loss"])
    return pd.concat([curve, also], ignore_index=True)


def sample_size(rows: pd.DataFrame) -> str:
    """The largest number of probes and of dialogues behind any of `rows`, as text."""
    sign = "=" if rows["n"].nunique() == 1 else "≤"
    return f"n {sign} {rows['n'].max():,} probes, {rows['dialogues'].max():,} dialogues"


def of_seeds(count: int) -> str:
    """The number of seeds as text: 1 seed, 2 seeds."""
    return f"{count} seed" + ("" if count == 1 else "s")
