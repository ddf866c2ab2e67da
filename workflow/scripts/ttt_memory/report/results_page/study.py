"""A finished conversation study: its metrics, and the record of where it was run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ... import io
from ...conversation import schemas as conversation_schemas
from ...errors import UserError
from ...scoring import schemas as scoring_schemas
from ...scoring.config import ScoringConfig
from ..config import ReportConfig, RunText
from ..results import Results


@dataclass(frozen=True)
class FinishedStudy:
    """What a results folder holds.

    record: provenance.json; command: what made the folder, as typed; memory: name of the run whose
    memory is reported; published: name of the run that is trained as published.
    """

    results: Results
    record: dict[str, Any]
    command: str
    memory: str
    published: str

    @property
    def runs(self) -> list[str]:
        """Names of all runs, the reported one first."""
        return sorted(self.results.runs, key=lambda run: run != self.memory)

    def source(self) -> str:
        """Where the numbers come from, as one Markdown paragraph."""
        host, commit = self.record["host"], self.record["commit"] or "unknown"
        changed = " with uncommitted changes" if self.record["dirty"] else ""
        machine = ", ".join([f"{host['cores']} cores", *(host["gpus"] or [])])
        config = self.record["config"]
        seeds = "; ".join(
            f"{name} {', '.join(map(str, config['runs'][name]['seeds']))}"
            for name in self.runs
            if name in config["runs"]
        )
        return (
            f"*`{self.command}` at commit `{commit[:7]}`{changed}, {self.record['written'][:10]},"
            f" {host['processor']} ({machine}); training seeds: {seeds}; benchmark seed:"
            f" {config['benchmark']['seed']}. Written by `workflow/scripts/results_page.py`.*"
        )


def load_study(
    folder: Path, command: str, memory: str, published: str, processor: str | None = None
) -> FinishedStudy:
    """Read metrics/*/metrics.parquet, comparisons.parquet and provenance.json in `folder`.

    Args:
        folder: results of a finished study.
        command: what made them.
        memory: the run whose memory is reported.
        published: the run that is trained as published.
        processor: its name, where the record has none.

    Raises:
        UserError: a file is missing or damaged, or a run has no metrics.
    """
    record = _record(folder / "provenance.json")
    host = record["host"]
    host["processor"] = processor or host.get("processor") or host["system"]
    files = sorted(folder.glob("metrics/*/metrics.parquet"))
    tables = {file.parent.name: io.read_table(file, scoring_schemas.METRICS) for file in files}
    for name in (memory, published):
        if name not in tables:
            raise UserError(
                f"{folder}/metrics: found the runs {sorted(tables)}, expected {name!r} among them"
            )
    runs = record["config"]["runs"]
    texts = {name: RunText.model_validate(runs[name]) for name in runs if name in tables}
    metrics = pd.concat(tables.values(), ignore_index=True)
    schemas = conversation_schemas
    unread = (schemas.CURVE, schemas.DIAGNOSTICS, schemas.GATES, scoring_schemas.SCORED)
    compared = io.read_table(folder / "comparisons.parquet", scoring_schemas.COMPARISONS)
    report = ReportConfig(baseline=memory)
    results = Results(
        metrics,
        *(schema.empty_table().to_pandas() for schema in unread),
        compared,
        *(pd.DataFrame(), {}, texts, report, ScoringConfig()),
    )
    return FinishedStudy(results, record, command, memory, published)


def _record(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected the record of a finished study") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: expected JSON, found {error}") from error
