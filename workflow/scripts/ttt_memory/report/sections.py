"""The order of the report and its text; every number comes from a table or a metric row."""

from dataclasses import dataclass, field

from ..forecast.comparison.figures import DRAWERS as FORECAST_FIGURES
from . import wording
from .results import LEVELS, THIRDS, Results
from .tables import forecast, inside, recall, sweeps
from .tables.common import Table


@dataclass(frozen=True)
class Section:
    """Text in Markdown, then figures by name, then tables; `folded` tables open on a click."""

    title: str
    text: str
    figures: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = field(default=())


def sections(results: Results, drawn: set[str]) -> list[Section]:
    """All sections; `drawn` names the figures that there was data for."""

    def section(title, text, figures=(), tables=(), folded=(), absent="") -> Section:
        tables, folded = (tuple(t for t in part if t is not None) for part in (tables, folded))
        figures = tuple(name for name in figures if name in drawn)
        if absent and not (figures or tables or folded):
            text = f"Not run: {absent}"
        return Section(title, text, figures, tables, folded)

    return [
        section(
            "Verdict",
            wording.verdicts(results),
            tables=[recall.headline(results)],
            folded=[recall.seeds(results)],
            absent="no run has both conditions A and B.",
        ),
        section(
            "Conditions",
            wording.CONDITIONS,
            ["em_by_condition"],
            [recall.conditions(results)],
            [
                recall.breakdown(results, "level", LEVELS),
                *(recall.conditions(results, m) for m in ("em_contains", "f1_char", "degenerate")),
                recall.floors(results),
            ],
        ),
        section("Paired tests", wording.PAIRED, tables=[recall.paired_tests(results)],
                absent="no run has two conditions to compare."),
        section("Category of the fact", wording.CATEGORY, ["em_by_category"],
                folded=[recall.breakdown(results, "category")]),
        section(
            "Position of the fact",
            wording.POSITION,
            ["em_by_position"],
            folded=[
                recall.breakdown(results, "position", THIRDS),
                recall.breakdown(results, "probe_order", THIRDS),
            ],
        ),
        section("Distractor", wording.DISTRACTOR, ["distractor"], [sweeps.distractor(results)],
                absent="condition D is not among the conditions of any run."),
        section("Retention", wording.RETENTION, ["retention"],
                [sweeps.sweep(results, "retention", "retention_ratio")],
                absent="the sweep `retention` is not in the configuration of any run."),
        section(
            "Held-out values and skeletons",
            wording.HELD_OUT,
            ["splits"],
            [recall.splits(results, results.regimes())],
            [recall.splits(results, results.runs) if results.compared() else None,
             *(recall.splits(results, results.runs, level) for level in LEVELS),
             recall.breakdown(results, "language")],
            absent="the benchmark has no held-out splits.",
        ),
        section("Level 2: two facts in one answer", wording.COMPOSITION,
                tables=[recall.breakdown(results, "composition")]),
        section(
            "Capacity",
            wording.CAPACITY,
            ["capacity"],
            [
                sweeps.sweep(results, "capacity", "memory_efficiency"),
                sweeps.capacity_order(results),
            ],
            absent="the sweep `capacity` is not in the configuration of any run.",
        ),
        section("Scale of the write", wording.SCALE, ["scale"],
                folded=[sweeps.sweep(results, "scale")],
                absent="the sweep `scale` is not in the configuration of any run."),
        section("Write gates and surprise", wording.gates(results), ["gates"],
                [inside.segments(results)], absent="no diagnostics were given."),
        section("Size of the fast weights", wording.NORMS, ["norms"],
                folded=[inside.norms(results)], absent="no diagnostics were given."),
        section("Training", wording.TRAINING, ["training_loss", "inner_norm"],
                [inside.training(results)], absent="no training curves were given."),
        section("What makes the difference", wording.ATTRIBUTION, ["attribution"],
                [recall.attribution(results)],
                absent="no run states in `differs` the one thing that it changes; "
                "`config/full.yaml` has one run for each."),
        section("Forecast study", wording.forecast(results.forecast), FORECAST_FIGURES,
                forecast.leaderboards(results.forecast),
                absent="`forecast` names no dataset or no strategy in the configuration."),
        section("Benchmark", wording.BENCHMARK, folded=[inside.benchmark(results)]),
        section("How to read this, and its limits", wording.limits(results)),
    ]  # fmt: skip
