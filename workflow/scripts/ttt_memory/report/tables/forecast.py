"""Tables of the forecast study."""

from ...forecast.leaderboard import table
from ...forecast.results import Study
from .common import Table


def leaderboards(study: Study) -> list[Table]:
    """The leaderboard of each dataset, best first."""
    rows = study.leaderboard
    return [
        Table(f"forecast_{dataset}", table(rows, dataset), rows[rows["dataset"] == dataset])
        for dataset in study.datasets
    ]
