"""A script of the project, run in this process: PyTorch is not imported once more for it."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock

from clone import ROOT


def run_script(
    name: str, *arguments: object, folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """What `python workflow/scripts/NAME.py ARGUMENTS` in `folder` says, and its exit status."""
    script = ROOT / "workflow" / "scripts" / f"{name}.py"
    line, before = [str(script), *map(str, arguments)], Path.cwd()
    out, err, code = io.StringIO(), io.StringIO(), 0
    os.chdir(folder)
    try:
        with (
            mock.patch.object(sys, "argv", line),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        code = end.code or 0
    finally:
        os.chdir(before)
    return subprocess.CompletedProcess(line, code, out.getvalue(), err.getvalue())
