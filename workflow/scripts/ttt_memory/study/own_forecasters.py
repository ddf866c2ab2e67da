"""Try the strategies and baselines that are files of the user's before any job runs."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..forecast.strategy import own_entries
from .config.files import blame, read
from .config.tree import Config

SCRIPT = Path(__file__).parents[2] / "check_forecasters.py"


def require_sound(config: Config, sources: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Check each such file as its job would, in a process of its own.

    Nothing is checked where PyTorch is not installed: jobs may have an environment of their own.

    Args:
        config: the checked configuration.
        sources: what it was merged from, the strongest first.

    Raises:
        UserError: the source and the key that name the file, and what is wrong with it.
    """
    if not config.forecast.datasets or not list(own_entries(config.forecast)):
        return
    forecast = json.dumps({"forecast": config.forecast.model_dump(mode="json")})
    command = [sys.executable, str(SCRIPT), "--config", forecast]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0 or "No module named 'torch'" in done.stderr:
        return
    *_, last = done.stderr.strip().splitlines() or ["it ended without a word"]
    key, _, told = last.removeprefix("error: ").partition(": ")
    if not key.startswith("forecast."):
        raise UserError(f"{SCRIPT}: {last}")
    raise UserError(f"{blame(key.split('.'), read(sources))}: {key}: {told}")
