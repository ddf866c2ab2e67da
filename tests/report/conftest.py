"""Reports that the script wrote: of everything, and of two runs without anything else."""

from pathlib import Path

import pytest

import report_inputs


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report_inputs.write_all(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def full(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("full") / "report"
    scored = [*report_inputs.RUNS, "imported"]
    names = list(report_inputs.RUNS)
    beside = {"scored": names, "gates": ["all"], "comparisons": ["all"], **report_inputs.FORECAST}
    done = report_inputs.run_script(
        inputs, out, metrics=scored, curves=names, diagnostics=names, **beside
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def bare(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two runs of which nothing but conditions is known."""
    out = tmp_path_factory.mktemp("bare") / "report"
    done = report_inputs.run_script(inputs, out, metrics=["no-gate", "imported"], runs=[])
    assert done.returncode == 0, done.stderr
    return out
