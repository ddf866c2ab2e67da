"""Comparisons of runs against what one would compute by hand."""

import numpy as np
import pandas as pd
import pytest

import scored_runs
from ttt_memory import io
from ttt_memory.scoring import schemas
from ttt_memory.scoring.comparisons import comparisons, holm
from ttt_memory.scoring.config import ScoringConfig
from ttt_memory.scoring.predictions import read_predictions
from ttt_memory.scoring.probe_scores import score
from ttt_memory.vocabulary import HEADLINE_SPLIT, SAME_TEXT

CONFIG = ScoringConfig(bootstrap=200, permutations=199)
SAMPLES = scored_runs.samples(60)
RUNS = {"good": ((0, 1), 0.9), "alike": ((0,), 0.9), "worse": ((0,), 0.4)}


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> pd.DataFrame:
    """Three runs with a memory, and one that was asked in context alone."""
    path = tmp_path_factory.mktemp("predictions")
    rows = {
        name: scored_runs.run_rows(SAMPLES, name, seeds, memory, sweeps=False)
        for name, (seeds, memory) in RUNS.items()
    }
    rows["base"] = [
        row
        for condition, right in (("A", 0.7), ("C", 0.0))
        for row in scored_runs.predictions(SAMPLES, "base", 0, condition, right)
    ]
    files = [str(scored_runs.write(path / f"{name}.parquet", rows[name])) for name in rows]
    return score(SAMPLES, read_predictions(files))


@pytest.fixture(scope="module")
def table(scored) -> pd.DataFrame:
    return comparisons(scored, "good", CONFIG)


def em(scored: pd.DataFrame, run: str, condition: str, levels: tuple[str, ...]) -> float:
    rows = scored[(scored["run"] == run) & (scored["condition"] == condition)]
    rows = rows[rows["level"].isin(levels) & (rows["split"] == HEADLINE_SPLIT)]
    return rows.groupby("seed")["em"].mean().mean()


def pick(table: pd.DataFrame, **wanted) -> pd.Series:
    rows = table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_differences_are_of_the_same_probes_and_tell_a_worse_run_from_one_that_is_alike(
    scored, table
):
    for run in ("alike", "worse"):
        row = pick(table, kind="difference", run=run, condition="B")
        ems = [em(scored, name, "B", SAME_TEXT) for name in (run, "good")]
        assert row.value == pytest.approx(ems[0] - ems[1])
        assert (row.em, row.other_em) == pytest.approx(ems)
        assert row.low <= row.value <= row.high
        assert (row.seeds, row.other_seeds, row.other) == (1, 2, "good")
    assert pick(table, kind="difference", run="worse", condition="B").p_corrected < 0.1
    assert pick(table, kind="difference", run="alike", condition="B").p_corrected > 0.3
    assert set(table[table["kind"] == "difference"]["run"]) == {"alike", "worse", "base"}
    assert len(table[table["kind"] == "difference"]) == 3 + 3 + 1  # the base has only A


def test_efficiency_divides_by_the_context_of_runs_without_a_memory(scored, table):
    rows = table[table["kind"] == "efficiency"]
    assert set(zip(rows["run"], rows["other"], strict=True)) == {(run, "base") for run in RUNS}
    for condition, levels in (("B", SAME_TEXT), ("D", ("3",))):
        row = pick(rows, run="good", condition=condition)
        wanted = em(scored, "good", condition, levels) / em(scored, "base", "A", levels)
        assert row.value == pytest.approx(wanted)
        assert row.low < row.value < row.high
        assert np.isnan(row.p)


def test_without_the_split_of_the_verdict_all_probes_count(scored):
    found = comparisons(scored[scored["split"] != HEADLINE_SPLIT], "good", CONFIG)
    assert pick(found, kind="difference", run="worse", condition="B").n > 100
    assert comparisons(scored, "nobody", CONFIG)["kind"].unique().tolist() == ["efficiency"]


def test_fits_the_schema(table, tmp_path):
    io.write_table(tmp_path / "comparisons.parquet", table, schemas.COMPARISONS, {})


def test_holm_by_hand():
    found = holm(np.array([0.04, 0.01, np.nan, 0.03, 0.005]))
    np.testing.assert_allclose(found, [0.06, 0.03, np.nan, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).tolist() == [1, 1]
    assert holm(np.array([])).tolist() == []
