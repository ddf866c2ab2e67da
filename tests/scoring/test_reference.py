"""Exact agreement with the published scorer on published predictions."""

import json
from pathlib import Path

import pandas as pd
import pytest

from ttt_memory import io
from ttt_memory.scoring import schemas
from ttt_memory.scoring.config import ScoringConfig
from ttt_memory.scoring.metrics import ALL, DIMENSIONS
from ttt_memory.scoring.score_files import score_files
from ttt_memory.study.provenance import provenance

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "reference" / "conversation"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"published predictions and scores are not at {FOLDER}"
)
CONDITIONS = "abcd"
DIVISION = {"by_level": "level", "by_category": "category", "by_position": "probe_order"}


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("scores")
    given = [f"{name.upper()}={FOLDER / f'condition_{name}.json'}" for name in CONDITIONS]
    config = ScoringConfig(bootstrap=100)
    score_files(FOLDER / "benchmark.json", given, None, config, out, provenance)
    return io.read_table(out / "metrics.parquet", schemas.METRICS)


def found(table: pd.DataFrame, condition: str, metric: str, **group: str) -> pd.Series:
    wanted = dict.fromkeys([*DIMENSIONS, "seed"], ALL) | group
    wanted |= {"condition": condition.upper(), "metric": metric}
    rows = table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_agrees_with_the_published_scores(table, condition):
    expected = json.loads((FOLDER / "expected_scores.json").read_text())[condition]
    groups = [({}, expected["overall"])] + [
        ({column: name}, scores)
        for division, column in DIVISION.items()
        for name, scores in expected[division].items()
    ]
    for group, scores in groups:
        em = found(table, condition, "em_contains", **group)
        assert em.n == scores["n"]
        assert em.value == pytest.approx(scores["em"], abs=1e-12)
        f1 = found(table, condition, "f1_char", **group)
        assert f1.value == pytest.approx(scores["f1"], abs=1e-12)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_has_no_group_the_published_scorer_lacks(table, condition):
    expected = json.loads((FOLDER / "expected_scores.json").read_text())[condition]
    for division, column in DIVISION.items():
        others = [name for name in DIMENSIONS if name != column]
        rows = table[(table[others] == ALL).all(axis=1) & (table["condition"] == condition.upper())]
        assert set(rows[column]) - {ALL} == set(expected[division])


def test_the_strict_metric_takes_the_first_line(table):
    # "邱阳、何鑫\n..." contains the gold 何鑫 and is not it; "A项目的合同签订" contains A项目.
    assert found(table, "a", "em").value < found(table, "a", "em_contains").value
    assert found(table, "a", "em").value > 0.7
