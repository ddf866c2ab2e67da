"""A small table, the dataset that reads it, and the errors of bad ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ttt_memory.errors import UserError
from ttt_memory.forecast.series.config import Dataset, TableDataset
from ttt_memory.forecast.series.make import make

ROWS, LENGTH = 200, 12


def frame(rows: int = ROWS) -> pd.DataFrame:
    """A table of hourly times, a growing column `wind`, and noise as the target `power`."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "when": pd.date_range("2020-01-01", periods=rows, freq="1h").astype(str),
            "wind": np.arange(rows) + rng.normal(size=rows),
            "power": rng.normal(size=rows),
        }
    )


def table(folder: Path, rows: pd.DataFrame, **changes: object) -> TableDataset:
    """The dataset of `rows`, written as CSV unless `changes` name another file."""
    path = folder / "table.csv"
    if "path" not in changes:
        rows.to_csv(path, index=False)
    settings = {
        "source": "table",
        "path": str(path),
        "time": "when",
        "target": "power",
        "features": ("wind",),
        "context_window": 4,
        "length": LENGTH,
        "stride": 5,
    }
    return TableDataset(**{**settings, **changes})


def refused(config: Dataset, *words: str) -> None:
    """Check that making the series fails in one line that contains all `words`."""
    with pytest.raises(UserError) as error:
        make(config)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)
