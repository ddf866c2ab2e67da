"""All measured numbers of a report, and queries on them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from .. import io
from ..benchmark import schemas as benchmark_schemas
from ..conversation import schemas as conversation_schemas
from ..errors import UserError
from ..forecast.comparison.results import Study
from ..scoring import schemas as scoring_schemas
from ..scoring.config import ScoringConfig
from ..scoring.verdict import verdict
from ..vocabulary import CONDITIONS, HEADLINE_SPLIT, SPLITS
from ..vocabulary import LEVELS as LEVEL_NAMES
from .config import ReportConfig, RunText

ALL = "all"
LEVELS = list(LEVEL_NAMES)
_NAMES = scoring_schemas.METRICS.names
GROUPS = [*_NAMES[_NAMES.index("level") : _NAMES.index("metric")]]


@dataclass(frozen=True)
class Results:
    """All numbers of a report.

    Attributes:
        metrics, curves, diagnostics, gates, scored, comparisons: frames in the columns of the
            schemas of these names, of scoring and of the conversation study.
        benchmark: the samples, in the columns of the benchmark's schema.
        notes: the provenance of each input file, by the file's name.
        texts: the label and the difference of each configured run.
        report, scoring: the configuration.
        forecast: the forecast study, which has no number in common with this one.
        base: where a converted base model comes from; empty for other models.
    """

    metrics: pd.DataFrame
    curves: pd.DataFrame
    diagnostics: pd.DataFrame
    gates: pd.DataFrame
    scored: pd.DataFrame
    comparisons: pd.DataFrame
    benchmark: pd.DataFrame
    notes: dict[str, dict]
    texts: dict[str, RunText]
    report: ReportConfig
    scoring: ScoringConfig
    forecast: Study = field(default_factory=Study)
    base: str = ""

    @property
    def runs(self) -> list[str]:
        """Names of the scored runs: configured ones in their order, then imported ones."""
        scored = list(self.metrics["run"].unique())
        return [run for run in self.texts if run in scored] + [
            run for run in scored if run not in self.texts
        ]

    def label(self, run: str) -> str:
        """The run's name in tables and figures."""
        return self.texts[run].label if run in self.texts else f"{run} (imported)"

    @cached_property
    def _breakdowns(self) -> dict[tuple, pd.DataFrame]:
        """Metric rows by metric and by the set of columns that they are broken down by."""
        divided = (self.metrics[GROUPS] != ALL).assign(setting=self.metrics["setting"].notna())
        columns = divided.columns.to_numpy()
        names = [frozenset(columns[row]) for row in divided.to_numpy()]
        places: dict[tuple, list[int]] = {}
        for place, key in enumerate(zip(self.metrics["metric"], names, strict=True)):
            places.setdefault(key, []).append(place)
        return {key: self.metrics.iloc[rows] for key, rows in places.items()}

    def rows(self, metric: str, by: Sequence[str] = (), **fixed: str) -> pd.DataFrame:
        """Metric rows broken down by exactly the columns `by` and the keys of `fixed`.

        Each column of `fixed` has the given value. Rows of a sweep are included only if `by`
        contains `setting`.
        """
        divided = frozenset(by) | (fixed.keys() & set(GROUPS))
        table = self._breakdowns.get((metric, divided), self.metrics[:0])
        for column, value in fixed.items():
            table = table[table[column] == value]
        return table

    def one(self, metric: str, **fixed: str) -> pd.Series | None:
        """The first of `rows` (there is only one), or None if it was not measured."""
        table = self.rows(metric, **fixed)
        return table.iloc[0] if len(table) else None

    def conditions(self, run: str) -> list[str]:
        """The conditions of a run, in the order of every table and figure."""
        found = set(self.metrics.loc[self.metrics["run"] == run, "condition"])
        return [condition for condition in CONDITIONS if condition in found]

    def references(self) -> list[str]:
        """The runs that were asked in context and not from their fast weights."""
        asked = {run: self.conditions(run) for run in self.runs}
        return [run for run in self.runs if "A" in asked[run] and "B" not in asked[run]]

    def regimes(self) -> list[str]:
        """The runs with a memory that do not say what they change of another run."""
        references = self.references()
        return [
            run
            for run in self.runs
            if run not in references and not (run in self.texts and self.texts[run].differs)
        ]

    def changes(self, run: str) -> str:
        """The keys in which a run differs from the baseline, as `train.regime: joint → frozen`."""
        baseline = self.texts.get(self.report.baseline)
        if baseline is None or run not in self.texts:
            return ""
        changed = self.texts[run].changes(baseline)
        return "; ".join(f"{key}: {old} → {new}" for key, (old, new) in changed.items())

    def comparison(self, kind: str, run: str, other: str, condition: str) -> pd.Series | None:
        """A row of `comparisons`, or None if the runs were not compared."""
        rows = self.comparisons
        for column, value in zip(
            ("kind", "run", "other", "condition"), (kind, run, other, condition), strict=True
        ):
            rows = rows[rows[column] == value]
        return rows.iloc[0] if len(rows) else None

    def compared(self) -> list[str]:
        """The runs of the attribution: the baseline, the runs that change one thing, the others.

        The list is empty if no run says what it changes.
        """
        others = [run for run in self.regimes() if run in self.texts]
        beside = [*self.regimes(), *self.references()]
        changed = [run for run in self.runs if run not in beside]
        others.sort(key=lambda run: run != self.report.baseline)
        return [*others[:1], *changed, *others[1:]] if changed else []

    def headline(self, run: str) -> dict[str, str]:
        """The split that the verdict on a run is of; none if its benchmark has no such split."""
        found = self.one("em", run=run, condition="A", split=HEADLINE_SPLIT)
        return {} if found is None else {"split": HEADLINE_SPLIT}

    def headline_name(self, run: str) -> str:
        """The name of that split, or "all probes"."""
        return SPLITS[HEADLINE_SPLIT] if self.headline(run) else "all probes"

    def main_run(self) -> str | None:
        """The run that the first screen is about: the baseline, else the first with A and B."""
        runs = [self.report.baseline, *self.regimes(), *self.runs]
        return next((run for run in runs if self.efficiency(run) is not None), None)

    def by_split(self, run: str) -> dict[str, dict[str, pd.Series]]:
        """By name of the split, that of the verdict first: EM of A, B, C and W on levels 1 and 2.

        A benchmark without splits has "all probes" instead.
        """
        rows = self.rows("em_compared", by=["split"], run=run)
        splits = [HEADLINE_SPLIT, *(name for name in SPLITS if name != HEADLINE_SPLIT)]
        parts = {SPLITS[name]: rows[rows["split"] == name] for name in splits}
        parts = {name: part for name, part in parts.items() if len(part)}
        parts = parts or {"all probes": self.rows("em_compared", run=run)}
        return {
            name: {row["condition"]: row for _, row in part.iterrows()}
            for name, part in parts.items()
        }

    def efficiency(self, run: str) -> pd.Series | None:
        """The memory efficiency that the verdict is of; None if a condition is missing."""
        return self.one("memory_efficiency", run=run, **self.headline(run))

    def verdict(self, run: str) -> str:
        """The verdict on a run, or "not measured" if a condition is missing."""
        row = self.efficiency(run)
        return "not measured" if row is None else verdict(row.value, self.scoring)


def load(
    benchmark: Path | None,
    metrics: list[Path],
    curves: list[Path],
    diagnostics: list[Path],
    gates: list[Path],
    scored: list[Path],
    comparisons: list[Path],
    texts: dict[str, RunText],
    report: ReportConfig,
    scoring: ScoringConfig,
    forecast: Study | None = None,
    base: str = "",
) -> Results:
    """Read and check every input. `benchmark` or `forecast` is None if its study was not run.

    Raises:
        UserError: a file is missing or has other columns, or two files hold the same metric.
    """
    tables = [
        _concatenated(paths, schema)
        for paths, schema in (
            (metrics, scoring_schemas.METRICS),
            (curves, conversation_schemas.CURVE),
            (diagnostics, conversation_schemas.DIAGNOSTICS),
            (gates, conversation_schemas.GATES),
            (scored, scoring_schemas.SCORED),
            (comparisons, scoring_schemas.COMPARISONS),
        )
    ]
    key = ["run", "condition", "setting", "distance", *GROUPS, "metric"]
    twice = tables[0][tables[0].duplicated(key)]
    if len(twice):
        raise UserError(f"run {twice.iloc[0].run}: its metrics are in two of the files given")
    samples = benchmark_schemas.BENCHMARK.empty_table().to_pandas()
    if benchmark:
        samples = io.read_table(benchmark, benchmark_schemas.BENCHMARK)
    notes = {str(path): io.read_metadata(path) for path in [*metrics, *curves, *diagnostics]}
    forecast = forecast or Study()
    notes |= forecast.notes
    return Results(*tables, samples, notes, texts, report, scoring, forecast, base)


def _concatenated(paths: list[Path], schema) -> pd.DataFrame:
    empty = schema.empty_table().to_pandas()
    table = pd.concat([empty, *(io.read_table(path, schema) for path in paths)], ignore_index=True)
    # A report is made of thousands of small selections: plain strings make them twice as fast.
    return table.astype(dict.fromkeys(table.select_dtypes("string"), object))
