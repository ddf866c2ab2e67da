"""The results of the forecast study, read back from the files of its experiments."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ... import io
from ...errors import UserError
from ..schemas import EPOCHS, FORECASTS, LEADERBOARD, RIVALS, SERIES, TRACES
from ..series.scale import Scale
from ..series.usage import Usage


@dataclass(frozen=True)
class SeriesNote:
    """What a file of series says of itself, without its series."""

    target: str = ""
    scales: tuple[Scale, ...] = ()  # of the test series
    usage: Usage = field(default_factory=Usage)
    unit_name: str = ""
    step: float | None = None  # seconds from one sample to the next
    floor: float | None = None  # MSE of the noise in the test series, where it is known
    origins: tuple[str, ...] = ()  # of the test series

    @classmethod
    def read(cls, path: Path) -> "SeriesNote":
        """The note of a file that make_series.py wrote.

        Raises:
            UserError: the file is unreadable or has no such note.
        """
        note = io.read_metadata(path)
        if "usage" not in note:
            raise UserError(f"{path}: no note on what is used, expected a file of make_series.py")
        rows = io.read_arrow(path, SERIES)
        test = rows.filter(pc.equal(rows["split"], "test"))
        return cls(
            note["target"],
            tuple(map(Scale, test["mean"].to_pylist(), test["unit"].to_pylist())),
            Usage.read(note["usage"]),
            *(note[key] for key in ("unit_name", "step", "floor")),
            tuple(test["origin"].to_pylist()),
        )

    @property
    def units(self) -> tuple[float, float]:
        """The smallest and the largest standardised unit, in the target's own unit."""
        units = [scale.unit for scale in self.scales] or [1.0]
        return min(units), max(units)

    @property
    def unit(self) -> str:
        """One standardised unit in the target's own, such as 8.6 °C; a range over groups."""
        low, high = (f"{unit:.4g}" for unit in self.units)
        amount = low if low == high else f"{low} to {high}"
        return f"{amount} {self.unit_name}".strip()

    def scale(self, series: int) -> Scale:
        """How a test series is standardised."""
        return self.scales[series] if self.scales else Scale()

    @property
    def label(self) -> str:
        """The target with its unit, for an axis."""
        return f"{self.target} ({self.unit_name})" if self.unit_name else self.target


class Family(NamedTuple):
    """The forecasts of one dataset at one horizon, which are compared among themselves."""

    dataset: str
    horizon: int

    @property
    def name(self) -> str:
        """The dataset and how far ahead it is forecast."""
        return f"{self.dataset}, {ahead([self.horizon])}"

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Those of a frame with the columns `dataset` and `horizon`."""
        return frame[(frame["dataset"] == self.dataset) & (frame["horizon"] == self.horizon)]


def ahead(horizons: Sequence[int]) -> str:
    """How far ahead is forecast, such as "one step ahead" or "1, 24 and 96 steps ahead"."""
    if list(horizons) == [1]:
        return "one step ahead"
    *most, last = map(str, horizons)
    return f"{', '.join(most)} and {last} steps ahead" if most else f"{last} steps ahead"


@dataclass(frozen=True)
class Study:
    """One frame per schema of the same name; empty where nothing was run.

    `series` says of each dataset what its numbers mean and how much of it is used. `notes` holds
    the provenance of the leaderboard and of each file of forecasts, by path.
    """

    leaderboard: pd.DataFrame = field(default_factory=LEADERBOARD.empty_table().to_pandas)
    forecasts: pd.DataFrame = field(default_factory=FORECASTS.empty_table().to_pandas)
    epochs: pd.DataFrame = field(default_factory=EPOCHS.empty_table().to_pandas)
    traces: pd.DataFrame = field(default_factory=TRACES.empty_table().to_pandas)
    rivals: pd.DataFrame = field(default_factory=RIVALS.empty_table().to_pandas)
    series: dict[str, SeriesNote] = field(default_factory=dict)
    notes: dict[str, dict] = field(default_factory=dict)

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets, in the order of the leaderboard."""
        return list(self.leaderboard["dataset"].unique())

    @property
    def families(self) -> list[Family]:
        """Every dataset at each of its horizons, in the order of the leaderboard."""
        rows = self.leaderboard[["dataset", "horizon"]].drop_duplicates()
        return [Family(*row) for row in rows.itertuples(index=False)]

    def horizons(self, dataset: str) -> list[int]:
        """The horizons of a dataset, ascending."""
        return [family.horizon for family in self.families if family.dataset == dataset]

    def ranking(self, family: Family, kind: str | None = None) -> list[str]:
        """Names of the strict forecasters of a family, best first; only of `kind`, if given.

        A floor is none: it knows how the dataset was made.
        """
        rows = family.rows(self.leaderboard)
        rows = rows[(rows["protocol"] == "strict") & (rows["kind"] != "floor")]
        if kind:
            rows = rows[rows["kind"] == kind]
        return list(rows["strategy"])

    def of_series(self, dataset: str) -> SeriesNote:
        """What is known of a dataset's series."""
        return self.series.get(dataset, SeriesNote())

    @property
    def without_memory(self) -> str | None:
        """The strategy that memory gains are measured against; None if there are no gains."""
        rows = self.leaderboard
        if rows["gain"].isna().all():
            return None
        rows = rows[(rows["kind"] == "strategy") & rows["gain"].isna()]
        return rows["strategy"].iloc[0] if len(rows) else None

    def errors(self, family: Family, strategy: str) -> tuple[int, np.ndarray]:
        """Position of the first forecast, and each position's MSE over series and seeds.

        The MSE is NaN where no series is scored.
        """
        rows = family.rows(self.forecasts)
        rows = rows[rows["strategy"] == strategy]
        made, truth, scored = (np.stack(rows[name]) for name in ("forecast", "truth", "scored"))
        square = np.where(scored, (made.astype(np.float64) - truth) ** 2, np.nan)
        known = np.maximum(scored.sum(0), 1)
        means = np.where(scored.any(0), np.nansum(square, axis=0) / known, np.nan)
        return int(rows["first"].iloc[0]), means


def read_forecasts(paths: list[Path]) -> pd.DataFrame:
    """The forecasts of all files.

    Raises:
        UserError: a file is unreadable, or two files hold the same experiment.
    """
    found = concatenated(paths, FORECASTS)
    key = ["dataset", "horizon", "strategy", "seed", "series"]
    twice = found[found.duplicated(key)]
    if len(twice):
        row = twice.iloc[0]
        raise UserError(
            f"strategy {row.strategy!r} on {row.dataset!r}, seed {row.seed}: found its forecasts in"
            " two of the files given, expected them in one"
        )
    return found


def concatenated(paths: list[Path], schema: pa.Schema) -> pd.DataFrame:
    """The rows of all files in the given order; as `io.read_arrow`, each must fit `schema`."""
    tables = [io.read_arrow(path, schema) for path in paths]
    return pa.concat_tables(tables or [schema.empty_table()]).to_pandas()


def load(
    leaderboard: Path,
    forecasts: list[Path],
    epochs: list[Path],
    traces: list[Path],
    series: list[Path] = (),
    rivals: Path | None = None,
) -> Study:
    """Read every file of the study. A file of series is named after its dataset.

    Raises:
        UserError: a file is unreadable, or two files hold the same experiment.
    """
    return Study(
        io.read_table(leaderboard, LEADERBOARD),
        read_forecasts(forecasts),
        concatenated(epochs, EPOCHS),
        concatenated(traces, TRACES),
        concatenated([rivals] if rivals else [], RIVALS),
        {path.stem: SeriesNote.read(path) for path in series},
        {str(path): io.read_metadata(path) for path in (leaderboard, *forecasts)},
    )
