"""Try the strategies and baselines that are files of the user's before any job runs."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..forecast.strategy import own_entries
from . import closure as closures
from .config.files import blame, read
from .config.tree import Config

SCRIPT = Path(__file__).parents[2] / "check_forecasters.py"
# Names of files are fingerprints of what was found sound, so that it is not tried again.
SOUND = Path(".snakemake", "sound-forecasters")


def require_sound(config: Config, sources: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Check each such file as its job would, in a process of its own.

    Nothing is checked where PyTorch is not installed: jobs may have an environment of their own.

    Args:
        config: the checked configuration.
        sources: what it was merged from, the strongest first.

    Raises:
        UserError: the source and the key that name the file, and what is wrong with it.
    """
    own = list(own_entries(config.forecast))
    if not config.forecast.datasets or not own:
        return
    forecast = json.dumps({"forecast": config.forecast.model_dump(mode="json")})
    files = {SCRIPT, *(Path(entry.file) for _, _, entry in own)}
    code = {part for file in files for part in closures.closure(file, SCRIPT.parent)}
    sound = SOUND / closures.fingerprint(sorted(code), forecast)
    if sound.is_file():
        return
    command = [sys.executable, str(SCRIPT), "--config", forecast]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        # A folder that cannot be written to is no mistake of the file's.
        with contextlib.suppress(OSError):
            sound.parent.mkdir(parents=True, exist_ok=True)
            sound.touch()
    if done.returncode == 0 or "No module named 'torch'" in done.stderr:
        return
    *_, last = done.stderr.strip().splitlines() or ["it ended without a word"]
    key, _, told = last.removeprefix("error: ").partition(": ")
    if not key.startswith("forecast."):
        raise UserError(f"{SCRIPT}: {last}")
    raise UserError(f"{blame(key.split('.'), read(sources))}: {key}: {told}")
