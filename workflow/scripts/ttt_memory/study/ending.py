"""The last three lines of a run: the verdict, the report, and how to chat with what was trained."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from ..conversation.config.training import MEMORY
from ..options import validate
from ..report import results as reported
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
    """The verdict on every run that has a memory, from the metrics."""
    record = folder / "provenance.json"
    config = json.loads(record.read_text(encoding="utf-8"))["config"]
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
    told = [_told(found, run) for run in found.regimes()]
    return "; ".join(told) or "none, no run was asked from its fast weights"


def _told(found: reported.Results, run: str) -> str:
    """The verdict on one run, with what it is of."""
    row = found.efficiency(run)
    said = f"{found.label(run)}: {found.verdict(run)}"
    if row is None:
        return said
    if math.isnan(row.value):
        return f"{said}, as nothing is answered right in context on {found.headline_name(run)}"
    kept = f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"
    return f"{said}, EM(B)/EM(A) {kept} on {found.headline_name(run)}"


def _chat(folder: Path) -> str:
    """The commands that open a trained memory: that of the baseline run, else the newest."""
    models = [file.parents[1] for file in folder.glob(f"runs/*/*/model/{MEMORY}")]
    if not models:
        return "nothing was trained to talk to; make demo shows the memory that comes with this"
    baseline = ReportConfig().baseline
    chosen = max(models, key=lambda model: (baseline in model.parts, model.stat().st_mtime))
    return f"make chat MODEL={chosen}, or make demo MODEL={chosen} for a page in the browser"
