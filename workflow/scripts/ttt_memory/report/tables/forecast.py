"""Tables of the forecast study."""

import pandas as pd

from ...forecast.comparison.leaderboard import rivals_table, table
from ...forecast.comparison.results import Study
from .table import Table


def data(study: Study) -> Table | None:
    """How much of each dataset is used, and what was left out."""
    shown, rows = [], []
    for name, series in study.series.items():
        usage, (low, high) = series.usage, series.units
        for split, windows in usage.windows.items():
            rows.append(
                {
                    "dataset": name,
                    "target": series.target,
                    "smallest unit": low,
                    "largest unit": high,
                    "split": split,
                    "windows": windows,
                    "groups": usage.groups.get(split),
                    "rows": usage.given[split],
                    "rows used": usage.used[split],
                    "samples that count": usage.scored[split],
                }
            )
            shown.append(
                {
                    "dataset": name,
                    "1 standardised unit": f"{series.unit} of {series.target}",
                    "split": split,
                    "windows": f"{windows:,}",
                    "groups": str(usage.groups.get(split, "–")),
                    "rows used": f"{usage.used[split]:,} of {usage.given[split]:,}",
                    "samples that count": f"{usage.scored[split]:,}",
                }
            )
    if not rows:
        return None
    return Table("forecast_data", pd.DataFrame(shown), pd.DataFrame(rows))


def leaderboards(study: Study) -> list[Table]:
    """The leaderboard of each dataset, horizon by horizon, lowest error first."""
    rows = study.leaderboard
    return [
        Table(f"forecast_{dataset}", table(rows, dataset), rows[rows["dataset"] == dataset])
        for dataset in study.datasets
    ]


def rivals(study: Study) -> list[Table]:
    """Strategies against each rival, of each dataset that has such comparisons."""
    rows = study.rivals
    return [
        Table(
            f"forecast_{dataset}_rivals",
            rivals_table(rows, dataset),
            rows[rows["dataset"] == dataset],
        )
        for dataset in study.datasets
        if dataset in set(rows["dataset"])
    ]
