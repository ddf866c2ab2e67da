"""The last three lines of a run: the verdict, the report, and how to chat with what was trained."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..conversation.config.training import MEMORY
from ..options import validate
from ..report import results as reported
from ..report import verdicts
from ..report.config import ReportConfig, RunText
from ..scoring.config import ScoringConfig

# With one of these, Snakemake runs no job.
NO_RUN = {
    *("-n", "--dry-run", "--dryrun", "--report", "--lint", "--unlock", "--help", "-h"),
    *("--version", "-v", "--summary", "-S", "--detailed-summary", "-D", "--list-rules", "-l"),
    *("--list-changes", "--dag", "--rulegraph", "--filegraph", "--delete-all-output", "--touch"),
    *("--cleanup-metadata", "--conda-create-envs-only", "--archive"),
}


def is_run(arguments: Sequence[str]) -> bool:
    """Whether Snakemake runs jobs with these arguments."""
    return not any(argument.partition("=")[0] in NO_RUN for argument in arguments)


def lines(folder: Path, failed: bool) -> list[str]:
    """The verdict, the path of the report and how to chat, for the results in `folder`."""
    page = folder / "report" / "index.html"
    if failed:
        earlier = f"none of this run; {page} is of an earlier one" if page.is_file() else "none"
        verdict = "none, the run failed: what is wrong stands above, with the logs of what failed"
        return [f"Verdict: {verdict}", f"Report: {earlier}", f"Chat: {_chat(folder)}"]
    if not page.is_file():
        verdict = "none, only some of the files were asked for"
        return [f"Verdict: {verdict}", "Report: none", f"Chat: {_chat(folder)}"]
    return [f"Verdict: {_verdict(folder)}", f"Report: {page}", f"Chat: {_chat(folder)}"]


def _verdict(folder: Path) -> str:
    """The answer that the report opens with, from the metrics."""
    config = _config(folder)
    metrics = [folder / "metrics" / run / "metrics.parquet" for run in config["runs"]]
    if not metrics:
        return "none, this study holds no conversations; its forecasts are in the report"
    found = reported.load(
        folder / "benchmark" / "benchmark.parquet",
        metrics,
        *([] for _ in range(5)),
        {name: validate(RunText, run, f"runs.{name}") for name, run in config["runs"].items()},
        validate(ReportConfig, config["report"], "report"),
        validate(ScoringConfig, config["scoring"], "scoring"),
    )
    return verdicts.answer(found).replace("**", "")


def _config(folder: Path) -> dict[str, Any]:
    """The configuration that the results were made with; empty if none were."""
    record = folder / "provenance.json"
    return json.loads(record.read_text(encoding="utf-8"))["config"] if record.is_file() else {}


def _chat(folder: Path) -> str:
    """The commands that open a trained memory: that of the baseline run, else the newest."""
    models = [file.parents[1] for file in folder.glob(f"runs/*/*/model/{MEMORY}")]
    if not models:
        return "nothing was trained to talk to; make demo shows the memory that comes with this"
    baseline = validate(ReportConfig, _config(folder).get("report", {}), "report").baseline
    chosen = max(models, key=lambda model: (baseline in model.parts, model.stat().st_mtime))
    return f"make chat MODEL={chosen}, or make demo MODEL={chosen} for a page in the browser"
