"""The pages' tables and figures come from finished studies by one command."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import scored_runs
from clone import ROOT
from ttt_memory import io
from ttt_memory.errors import UserError
from ttt_memory.report.results_page import blocks, figures, tables
from ttt_memory.report.results_page.answer import answer
from ttt_memory.report.results_page.study import load_study
from ttt_memory.scoring import schemas
from ttt_memory.scoring.comparisons import comparisons
from ttt_memory.scoring.config import ScoringConfig
from ttt_memory.scoring.metrics import metrics_table
from ttt_memory.scoring.predictions import read_predictions
from ttt_memory.scoring.probe_scores import score

SCRIPT = ROOT / "workflow" / "scripts" / "results_page.py"
SAMPLES = scored_runs.samples(10)
SCORING = ScoringConfig(bootstrap=100, permutations=99)
RUNS = {
    "write-drop-read": {"label": "trained to recall", "seeds": [0, 1]},
    "b-mini": {"label": "as published", "seeds": [0]},
    "no-gate": {"label": "no gate", "differs": "no write gate", "seeds": [0]},
    "base": {"label": "untouched", "seeds": [0]},
}
TABLES = ["splits", "levels", "outcomes", "refusals", "efficiency", "conditions", "retention"]
BLOCKS = ["aims", *TABLES, "capacity", "equal_bytes", "attribution"]


def write_metrics(folder: Path, name: str, memory: float) -> pd.DataFrame:
    rows = scored_runs.run_rows(SAMPLES, name, tuple(RUNS[name]["seeds"]), memory, name != "b-mini")
    given = scored_runs.write(folder / "predictions" / f"{name}.parquet", rows)
    scored = score(SAMPLES, read_predictions([str(given)]))
    table = metrics_table(scored, SCORING)
    io.write_table(folder / "metrics" / name / "metrics.parquet", table, schemas.METRICS, {})
    return scored


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Results of a study whose memory answers nine questions of ten."""
    path = tmp_path_factory.mktemp("results")
    memories = {"write-drop-read": 0.9, "b-mini": 0.0, "no-gate": 0.5}
    scored = pd.concat([write_metrics(path, name, memory) for name, memory in memories.items()])
    # A run without a memory is asked in context alone.
    base = scored[(scored["run"] == "b-mini") & (scored["condition"] == "A")].assign(run="base")
    in_context = metrics_table(base, SCORING)
    io.write_table(path / "metrics" / "base" / "metrics.parquet", in_context, schemas.METRICS, {})
    table = comparisons(pd.concat([scored, base]), "write-drop-read", SCORING)
    io.write_table(path / "comparisons.parquet", table, schemas.COMPARISONS, {})
    record = {
        "commit": "0123456789abcdef",
        "dirty": False,
        "written": "2026-01-02T03:04:05+00:00",
        "host": {"cores": 2, "gpus": None, "system": "Linux"},
        "config": {
            "runs": RUNS,
            "benchmark": {"seed": 7, "distractor_tokens": [2000, 4000]},
            "recall": {"sweep_split": "all_new"},
        },
    }
    io.write_json(path / "provenance.json", record)
    return path


@pytest.fixture
def pages(tmp_path) -> Path:
    """A page with each block, and a line by hand before each."""
    empty = "by hand\n<!-- begin {0} by-hand -->\n{0} of old\n<!-- end {0} -->\n"
    (tmp_path / "README.md").write_text(empty.format("answer"))
    (tmp_path / "results.md").write_text("".join(map(empty.format, BLOCKS)))
    return tmp_path


def run(folder: Path, pages: Path, of: str = "--run") -> subprocess.CompletedProcess[str]:
    places = ["--out", pages / "results.md", "--readme", pages / "README.md", "--figures", pages]
    command = [sys.executable, SCRIPT, of, folder, "--command", "make run", *places]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def found(pages: Path) -> str:
    return "".join((pages / name).read_text() for name in ("README.md", "results.md"))


def test_all_blocks_but_the_attribution_are_written(folder, pages):
    done = run(folder, pages)
    assert done.returncode == 0, done.stderr
    assert "attribution of old" in found(pages)
    assert not any(f"{name} of old" in found(pages) for name in BLOCKS[:-1])
    assert found(pages).count("by hand\n") == 12
    assert "|  |" not in found(pages).splitlines()  # a table without lines
    assert found(pages).count("`make run` at commit `0123456`, 2026-01-02, Linux (2 cores)") == 11
    before = {path: path.read_bytes() for path in pages.iterdir()}
    run(folder, pages)
    assert before == {path: path.read_bytes() for path in pages.iterdir()}


def test_the_attribution_alone(folder, pages):
    done = run(folder, pages, "--attribution")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(pages / "results.md")
    changed = [line for line in found(pages).splitlines() if line.startswith("| no write gate")]
    assert len(changed) == 1
    assert all(f"{name} of old" in found(pages) for name in BLOCKS[:-1])


def test_the_answer_has_the_numbers_of_the_metrics_and_counts_new_wording(folder):
    text = answer(load_study(folder, "make run", "write-drop-read", "b-mini"))
    table = [line.strip("| ").split(" | ") for line in text.split("\n\n")[0].splitlines()]
    assert len(table) == 2 + 4 + 2 + 2 + 1
    rows = pd.read_parquet(folder / "metrics" / "write-drop-read" / "metrics.parquet")
    plain = (rows[["grounding", "language", "level", "variant"]] == "all").all(axis=1)
    rows = rows[plain & (rows["seed"] == "all") & rows["setting"].isna()]
    splits = ["all_new", "new_values", "new_wording", "new_skeletons"]
    for split, line in zip(splits, table[2:6], strict=True):
        part = rows[rows["split"] == split].set_index(["metric", "condition"])
        ratio = part.loc[("memory_efficiency", "all")]
        ems = [part.loc[("em_compared", name), "value"] for name in "AB"]
        assert line[1:3] == [f"{em:.3f}" for em in ems]
        assert line[3] == f"{ratio.value:.3f} [{ratio.low:.3f},\N{NO-BREAK SPACE}{ratio.high:.3f}]"
        assert line[4] == f"{ratio.n} × 2"
    assert table[6][0] == "all new, a value is changed later"
    assert table[10][2] == "0.000"


def test_the_block_at_equal_bytes_has_a_verdict_for_each_distance_and_no_times(folder):
    text = tables.equal_bytes(load_study(folder, "make run", "write-drop-read", "b-mini"))
    verdict, *shown, source = text.split("\n\n")
    assert verdict.count("**") == 2 * len(scored_runs.DISTANCES)
    assert len(shown) == 2
    assert "K: " in shown[1]
    assert "FLOPs of an answer" in shown[1]
    assert "seconds" not in shown[1]
    assert source.startswith("*`make run`")


def test_figures_replace_every_colour_on_dark_pages(folder, pages):
    run(folder, pages)
    for name in figures.DRAWERS:
        text = (pages / f"{name}.svg").read_text()
        assert "prefers-color-scheme:dark" in text
        drawn = {
            part[:7]
            for part in text.split("</style>")[1].replace("stroke: ", "fill: ").split("fill: ")[1:]
            if part.startswith("#")
        }
        assert drawn <= set(figures.DARK)


def test_an_edit_by_hand_is_noticed():
    page = blocks.replaced("<!-- begin a by-hand -->\n1\n<!-- end a -->\n", "a", "2", "page.md")
    assert blocks.edited(page) == []
    assert blocks.edited(page.replace("\n2\n", "\n3\n")) == ["a"]


def test_no_block_of_the_pages_is_edited_by_hand():
    for page in ("README.md", "docs/results.md", "docs/forecast-results.md"):
        assert blocks.edited((ROOT / page).read_text(encoding="utf-8")) == []


def test_a_page_without_the_block(folder, pages):
    (pages / "results.md").write_text("nothing")
    done = run(folder, pages)
    assert done.returncode == 2
    assert "results.md: found 0 blocks '<!-- begin aims" in done.stderr
    assert "answer of old" in found(pages)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("provenance.json", None, "no such file"),
        ("provenance.json", "{", "expected JSON"),
    ],
)
def test_a_damaged_record(folder, tmp_path, name, text, message):
    for part in ("metrics", "comparisons.parquet"):
        (tmp_path / part).symlink_to(folder / part)
    if text:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=f"{name}: .*{message}"):
        load_study(tmp_path, "make run", "write-drop-read", "b-mini")


def test_a_run_without_metrics(folder):
    with pytest.raises(UserError, match=r"found the runs .*, expected 'recall' among them"):
        load_study(folder, "make run", "recall", "b-mini")


def test_a_processor_that_the_record_does_not_name(folder):
    study = load_study(folder, "make run", "write-drop-read", "b-mini", "Fast 9000")
    assert "Fast 9000 (2 cores)" in study.source()
    assert json.loads((folder / "provenance.json").read_text())["host"]["system"] == "Linux"
