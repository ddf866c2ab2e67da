"""The order of the report: which text, figures and tables stand in which section."""

from dataclasses import dataclass

from ..forecast.comparison.figures import DRAWERS as FORECAST_FIGURES
from ..vocabulary import SWEEPS, THIRDS
from . import wording
from .results import LEVELS, Results
from .tables import benchmark, diagnostics, em, forecast, sweeps, training
from .tables.table import Table


@dataclass(frozen=True)
class Section:
    """Text in Markdown, then figures by name, then tables. A click opens the `folded` tables."""

    title: str
    text: str
    figures: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = ()


def sections(results: Results, drawn: set[str]) -> list[Section]:
    """All sections. `drawn` has the names of the figures that have data."""

    def section(title, text, figures=(), tables=(), folded=(), absent="") -> Section:
        tables, folded = (tuple(t for t in part if t is not None) for part in (tables, folded))
        figures = tuple(name for name in figures if name in drawn)
        if absent and not (figures or tables or folded):
            text = f"Not run: {absent}"
        return Section(title, text, figures, tables, folded)

    def sweep(name, tables=(), folded=()) -> Section:
        absent = f"the sweep `{name}` is not in the configuration of any run."
        text = wording.sweep(name)
        return section(SWEEPS[name].label, text, [name], tables, folded, absent)

    return [
        section(
            "Verdict",
            wording.verdicts(results),
            tables=[em.headline(results)],
            folded=[em.seeds(results)],
            absent="no run has both conditions A and B.",
        ),
        section(
            "Conditions",
            wording.conditions(),
            ["em_by_condition"],
            [em.conditions(results)],
            [
                em.breakdown(results, "level", LEVELS),
                *(em.conditions(results, m) for m in ("em_contains", "f1_char", "degenerate")),
                em.floors(results),
            ],
        ),
        section("Paired tests", wording.PAIRED, tables=[em.paired_tests(results)],
                absent="no run has two conditions to compare."),
        section("Category of the fact", wording.CATEGORY, ["em_by_category"],
                folded=[em.breakdown(results, "category")]),
        section(
            "Position of the fact",
            wording.POSITION,
            ["em_by_position"],
            folded=[
                em.breakdown(results, "position", THIRDS),
                em.breakdown(results, "probe_order", THIRDS),
            ],
        ),
        section("Distractor", wording.DISTRACTOR, ["distractor"], [sweeps.distractor(results)],
                absent="condition D is not among the conditions of any run."),
        sweep("retention", [sweeps.sweep(results, "retention", "retention_ratio")]),
        section(
            "Held-out values and skeletons",
            wording.HELD_OUT,
            ["splits"],
            [em.splits(results, results.regimes())],
            [em.splits(results, results.runs) if results.compared() else None,
             *(em.splits(results, results.runs, level) for level in LEVELS),
             em.breakdown(results, "language")],
            absent="the benchmark has no held-out splits.",
        ),
        section("Level 2: two facts in one answer", wording.COMPOSITION,
                tables=[em.breakdown(results, "composition")]),
        sweep("capacity", [sweeps.sweep(results, "capacity", "memory_efficiency"),
                           sweeps.capacity_order(results)]),
        sweep("scale", folded=[sweeps.sweep(results, "scale")]),
        section("Write gates and surprise", wording.gates(results), ["gates"],
                [diagnostics.segments(results)], absent="no diagnostics were given."),
        section("Size of the fast weights", wording.NORMS, ["norms"],
                folded=[diagnostics.norms(results)], absent="no diagnostics were given."),
        section("Training", wording.TRAINING, ["training_loss", "inner_norm"],
                [training.training(results)], absent="no training curves were given."),
        section("What makes the difference", wording.ATTRIBUTION, ["attribution"],
                [em.attribution(results)],
                absent="no run says in `differs` what it changes; "
                "`config/full.yaml` has one run for each."),
        section("Forecast study", wording.forecast(results.forecast), FORECAST_FIGURES,
                forecast.leaderboards(results.forecast),
                absent="`forecast` names no dataset or no strategy in the configuration."),
        section("Benchmark", wording.BENCHMARK, folded=[benchmark.benchmark(results)]),
        section("How to read this, and its limits", wording.limits(results)),
    ]  # fmt: skip
