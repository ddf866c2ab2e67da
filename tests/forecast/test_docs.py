"""The example of docs/strategies.md, run as it is printed there."""

import os
import subprocess
import sys
from pathlib import Path

from documents import fence
from ttt_memory import io
from ttt_memory.forecast.comparison import results
from ttt_memory.forecast.comparison.figures import DRAWERS
from ttt_memory.forecast.schemas import LEADERBOARD

ROOT = Path(__file__).parents[2]


def test_the_documented_strategy_goes_from_nothing_to_the_leaderboard(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "strategies.md").read_text(encoding="utf-8")
    (tmp_path / "my_memory.py").write_text(fence(text, "python"), encoding="utf-8")
    (tmp_path / "my_study.yaml").write_text(fence(text, "yaml"), encoding="utf-8")
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", fence(text, "bash")],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    board = io.read_table(tmp_path / "results" / "leaderboard.parquet", LEADERBOARD)
    assert set(board["strategy"]) == {
        "no_memory",
        "titans_default",
        "mine",
        "last_value",
        "ar_ridge",
    }
    mine = board.set_index("strategy").loc["mine"]
    assert mine["mse"] < board.set_index("strategy").loc["last_value", "mse"]
    assert mine["seeds"] == 2
    assert mine[["gain", "gain_low", "difference", "p"]].notna().all()
    found = results.load(
        tmp_path / "results" / "leaderboard.parquet",
        *(
            sorted((tmp_path / "results").glob(f"*.{kind}.parquet"))
            for kind in ("forecasts", "curve", "traces")
        ),
    )
    for name, draw in DRAWERS.items():
        # With one horizon there is no figure of horizons.
        assert (draw(found) is None) == (name == "forecast_horizons")
    _check_report(tmp_path)


def _check_report(folder: Path) -> None:
    """A report of the forecasts alone, as a study without runs has it."""
    files = {
        kind: sorted(map(str, (folder / "results").glob(f"*.{kind}.parquet")))
        for kind in ("forecasts", "curve", "traces")
    }
    command = [sys.executable, str(ROOT / "workflow/scripts/report.py"), "--config", "{}"]
    command += ["--benchmark", "--metrics", "--comparisons", "--origin"]
    command += ["--leaderboard", str(folder / "results/leaderboard.parquet")]
    command += ["--series", str(folder / "results/waves.parquet"), "--traces", *files["traces"]]
    command += ["--forecasts", *files["forecasts"], "--forecast-curves", *files["curve"]]
    done = subprocess.run(
        [*command, "--out", str(folder / "report")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    text = (folder / "report" / "RESULTS.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Forecast study",
        "## Provenance",
    ]
    # 60 series of 96 samples, of which the first fifth is not scored.
    assert f"| waves | 1 of x | test | 6 | – | 576 of 576 | {6 * (96 - 19)} |" in text
    assert (folder / "report" / "index.html").stat().st_size > 10_000
