"""Tables of the forecast study."""

from ...forecast.leaderboard import table
from ...forecast.results import Study
from .table import Table


def leaderboards(study: Study) -> list[Table]:
    """The leaderboard of each dataset, lowest error first."""
    rows = study.leaderboard
    return [
        Table(f"forecast_{dataset}", table(rows, dataset), rows[rows["dataset"] == dataset])
        for dataset in study.datasets
    ]
