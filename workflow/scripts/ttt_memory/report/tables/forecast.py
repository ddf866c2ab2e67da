"""Tables of the forecast study."""

from ...forecast.comparison.leaderboard import table
from ...forecast.comparison.results import Study
from .table import Table


def leaderboards(study: Study) -> list[Table]:
    """The leaderboard of each dataset, lowest error first."""
    rows = study.leaderboard
    return [
        Table(f"forecast_{dataset}", table(rows, dataset), rows[rows["dataset"] == dataset])
        for dataset in study.datasets
    ]
