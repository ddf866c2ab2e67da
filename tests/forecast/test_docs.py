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
    for draw in DRAWERS.values():
        assert draw(found) is not None
