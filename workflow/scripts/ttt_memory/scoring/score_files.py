"""Score files of predictions and write files of metrics: what the scoring script runs."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from .. import io
from ..benchmark import read_samples
from ..errors import UserError
from . import schemas
from .config import ScoringConfig
from .groups import ALL, DIMENSIONS
from .metrics import metrics_table, unasked
from .predictions import read_predictions
from .probe_scores import METRICS, score


def score_files(
    benchmark: Path,
    predictions: list[str],
    run: str | None,
    config: ScoringConfig,
    out: Path,
    provenance: Callable[..., dict],
) -> str:
    """Write `out`/scored.parquet and then `out`/metrics.parquet; return a table to print.

    `predictions` and `run` are those of `read_predictions`; `provenance(config, predictions=...)`
    gives the metadata of both files.

    Raises:
        UserError: an input is missing, malformed, or does not fit the others.
    """
    given = read_predictions(predictions, run)
    asked = given["too_long"] == 0
    if not asked.any():
        raise UserError(f"{', '.join(predictions)}: found no answer, expected at least one")
    scored = score(read_samples(benchmark), given[asked])
    table = pd.concat([metrics_table(scored, config), unasked(given[~asked])], ignore_index=True)
    note = provenance(config, predictions=_notes(given["file"].unique()))
    io.write_table(out / "scored.parquet", scored, schemas.SCORED, note)
    io.write_table(out / "metrics.parquet", table, schemas.METRICS, note)
    return short_table(table)


def _notes(files: Iterable[str]) -> list[dict]:
    """The provenance notes of the predictions, each once, though shards share theirs."""
    notes = [io.read_metadata(file) for file in files if Path(file).suffix != ".json"]
    return [note for place, note in enumerate(notes) if note and note not in notes[:place]]


def short_table(table: pd.DataFrame) -> str:
    """One line for each run and condition, over all its probes; the ratios of each run below."""
    whole = table[(table[[*DIMENSIONS, "seed"]] == ALL).all(axis=1)]
    wide = whole[whole["metric"].isin(METRICS)].pivot_table(
        index=["run", "condition", "setting", "distance", "n"],
        columns="metric",
        values="value",
        dropna=False,
    )
    if wide.index.get_level_values("setting").isna().all():  # there is no sweep
        wide = wide.droplevel(["setting", "distance"])
    ratios = whole[whole["metric"].isin(["memory_efficiency", "retention_ratio"])]
    ratios = ratios[ratios["condition"] == ALL]
    lines = [
        f"{row.run}: {row.metric} {row.value:.3f} [{row.low:.3f}, {row.high:.3f}], n = {row.n}"
        for row in ratios.itertuples()
    ]
    return "\n".join([wide.dropna(how="all")[METRICS].round(4).to_string(), *lines])
