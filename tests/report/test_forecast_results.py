"""The page of forecast results comes from a finished study by one command."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from clone import ROOT
from forecast_waves import SCALES, epochs, forecasts
from ttt_memory import io
from ttt_memory.forecast.comparison.leaderboard import leaderboard
from ttt_memory.forecast.comparison.paired import against_rivals
from ttt_memory.forecast.config import ComparisonConfig
from ttt_memory.forecast.schemas import LEADERBOARD, RIVALS
from ttt_memory.forecast.series.config import SineDataset
from ttt_memory.forecast.series.make import make
from ttt_memory.report.results_page import blocks
from ttt_memory.study.provenance import provenance

SCRIPT = ROOT / "workflow" / "scripts" / "results_page.py"
PAGE = "by hand\n<!-- begin waves by-hand -->\nold\n<!-- end waves -->\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of a study of sine waves, called as the published ones."""
    rows = [
        {**row, "dataset": "sinwave"}
        for name, scales in SCALES.items()
        for seed, scale in enumerate(scales)
        for row in forecasts(name, seed, scale)
    ]
    costs = [
        {**row, "dataset": "sinwave"}
        for name in SCALES
        for seed in range(3)
        for row in epochs(name, seed)
    ]
    config, made = ComparisonConfig(), pd.DataFrame(rows)
    path, note = tmp_path / "waves", provenance(config)
    board = leaderboard(made, pd.DataFrame(costs), config)
    io.write_table(path / "forecast" / "leaderboard.parquet", board, LEADERBOARD, note)
    rivals = against_rivals(made, config)
    io.write_table(path / "forecast" / "rivals.parquet", rivals, RIVALS, note)
    data = SineDataset(series=20, length=60)
    make(data).write(path / "series" / "sinwave.parquet", provenance(data))
    return path


def run(folder: Path, page: Path) -> subprocess.CompletedProcess[str]:
    places = ["--forecast-page", page, "--figures", page.parent / "figures"]
    command = [sys.executable, SCRIPT, "--forecast", folder, "--command", "make run", *places]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_block_holds_the_tables_the_sentences_and_the_figure(folder: Path) -> None:
    page = folder.parent / "page.md"
    page.write_text(PAGE)
    done = run(folder, page)
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert text.startswith("by hand\n<!-- begin waves")
    assert "\nold\n" not in text
    assert blocks.edited(text) == []
    assert "*`make run`; python 3" in text
    assert "### sinwave: x one step ahead, 12 series, 3 seeds" in text
    assert "After correction for 2 comparisons, beats no_memory: titans_default, mesa." in text
    board = io.read_table(folder / "forecast" / "leaderboard.parquet", LEADERBOARD)
    mse = board.set_index("strategy").loc["mesa", "mse"]
    (line,) = [
        row for row in text.splitlines() if row.startswith("| mesa | ") and " yes " not in row
    ]
    assert line.split(" | ")[2].startswith(f"{mse:.5f} [")
    # What the publication reports is told as such, and compared with nothing.
    assert "| adam_gated, figure of the publication | 1 | 0.019 | –" in text
    # There are no floors here, so that column is left out.
    assert "share of possible gain" not in text
    picture = (folder.parent / "figures" / "forecast-waves.svg").read_text()
    assert "prefers-color-scheme" in picture
    run(folder, page)
    assert text == page.read_text(encoding="utf-8")


def test_a_page_without_the_block_is_refused(folder: Path) -> None:
    page = folder.parent / "page.md"
    page.write_text(PAGE.replace("waves", "others"))
    done = run(folder, page)
    assert done.returncode != 0
    assert "found 0 blocks '<!-- begin waves ... -->'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
