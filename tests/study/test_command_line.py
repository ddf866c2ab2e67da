"""What is checked of Snakemake's command line: one line, before Snakemake reads it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clone import ROOT
from ttt_memory.errors import UserError
from ttt_memory.study import command_line


@pytest.mark.parametrize(
    "arguments",
    [
        ["--configfile", "a.yaml", "-n", "--configfile", "b.yaml"],
        ["--configfile=a.yaml", "--configfiles", "b.yaml"],
        ["--config", "results=x", "-C", "results=y"],
    ],
)
def test_option_that_would_replace_the_first_is_refused(arguments: list[str]) -> None:
    with pytest.raises(UserError, match=r"^--config\w*: found it 2 times, expected once"):
        command_line.require_once(arguments)


def test_option_given_once_and_targets_are_left_alone() -> None:
    command_line.require_once(["--configfile", "a.yaml", "b.yaml", "--config", "x=1", "--", "-C"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "found no such file, expected a preset"),
        (b"", "found no keys, expected a mapping of keys"),
        (b"# runs:\n\n  # none\n", "found no keys, expected a mapping of keys"),
        (b"runs: [1\n", "not readable as JSON or YAML (while parsing a flow sequence"),
        (b"runs\n", "expected a mapping of keys, found str"),
        (b"runs: \xff\n", "found a file that cannot be read ('utf-8' codec"),
    ],
    ids=["missing", "empty", "comments", "no YAML", "text", "no text"],
)
def test_preset_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    preset = tmp_path / "mine.yaml"
    if content is not None:
        preset.write_bytes(content)
    smoke = str(ROOT / "config" / "smoke.yaml")
    for given in (["--configfile", smoke, str(preset), "-n"], [f"--configfile={preset}"]):
        with pytest.raises(UserError) as refused:
            command_line.require_presets(given)
        assert str(refused.value).startswith(f"{preset}: {told}")


def test_folder_is_no_preset(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"found a file that cannot be read .* directory"):
        command_line.require_presets(["--configfile", str(tmp_path)])


def test_make_run_checks_presets_before_snakemake_reads_them() -> None:
    """Without `make setup`, which is another's work: this interpreter runs it."""
    command = ["make", "--assume-old=.venv/.installed", "--assume-old=setup", "run"]
    programs = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    done = subprocess.run(
        [*command, "CONFIG=config/smoke.yaml nope.yaml", "ARGS=-n"],
        cwd=ROOT,
        # Within `make test` another make has left its options.
        env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")} | {"PATH": programs},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    told, *make = done.stderr.splitlines()
    assert told == "error: nope.yaml: found no such file, expected a preset"
    assert all(line.startswith("make: ") for line in make)


def test_null_within_config_drops_an_entry_and_other_text_stays() -> None:
    given = {"runs": {"b-mini": "null"}, "forecast": "~", "recall": {"distances": ["Null", "4"]}}
    data = {**given, "runs": {"b-mini": "null", "base": {"label": "null"}}, "results": "null"}
    assert command_line.with_nulls(data, given) == {
        "runs": {"b-mini": None, "base": {"label": "null"}},
        "forecast": None,
        "recall": {"distances": [None, "4"]},
        "results": "null",
    }


def test_report_of_a_run_that_has_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    for page in ("index.html", "landing.html"):
        (tmp_path / page).touch()
    missing = tmp_path / "figures" / "loss.svg"
    for asked in (["--report"], ["--report=x.html"], ["--report", "x.html"]):
        with pytest.raises(UserError, match=f"^{missing}: found no such file, expected the rep"):
            command_line.require_report(asked, tmp_path, ["loss"])
    command_line.require_report(["--report", "--report-after-run"], tmp_path, ["loss"])
    command_line.require_report(["-n"], tmp_path, ["loss"])
    missing.touch()
    command_line.require_report(["--report"], tmp_path, ["loss"])
