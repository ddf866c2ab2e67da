"""The order of the report: which text, figures and tables stand in which section."""

from dataclasses import dataclass

from ..forecast.comparison.figures import DRAWERS as FORECAST_FIGURES
from ..vocabulary import OUTCOMES, SWEEPS, THIRDS
from . import explanations, verdicts, wording
from .examples import Example, examples
from .results import LEVELS, Results
from .tables import (
    benchmark,
    diagnostics,
    em,
    equal_bytes,
    forecast,
    levels,
    runs,
    sweeps,
    training,
)
from .tables.table import Table

OTHER_METRICS = ("em_contains", "f1_char", "f1_token", "degenerate")


@dataclass(frozen=True)
class Section:
    """Text in Markdown, then figures by name, then tables, then dialogues to read.

    A click opens the `folded` tables and the dialogues.
    """

    title: str
    text: str
    figures: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = ()
    examples: tuple[Example, ...] = ()


def sections(results: Results, drawn: set[str]) -> list[Section]:
    """All sections, or those of the forecast study alone if no run was scored.

    `drawn` has the names of the figures that have data.
    """

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

    forecasts = section(
        "Forecast study",
        wording.forecast(results.forecast),
        FORECAST_FIGURES,
        [
            forecast.data(results.forecast),
            *forecast.leaderboards(results.forecast),
            *forecast.rivals(results.forecast),
        ],
        absent="`forecast` names no dataset or no strategy in the configuration.",
    )
    if results.metrics.empty:
        return [forecasts]
    shown = tuple(examples(results))
    return [
        section(
            "Verdict",
            verdicts.verdicts(results),
            tables=[em.headline(results)],
            folded=[em.seeds(results)],
            absent="no run has both conditions A and B.",
        ),
        section(
            "At equal bytes",
            wording.equal_bytes(results),
            ["em_by_bytes", "em_by_flops"],
            [equal_bytes.sizes(results)],
            [equal_bytes.methods(results)],
            absent="no run has `recall.alternatives`.",
        ),
        section(
            "Levels and splits",
            explanations.LEVELS_AND_SPLITS,
            tables=[levels.levels(results, results.regimes())],
            folded=[levels.levels(results, results.runs) if results.compared() else None],
        ),
        section("A value changed, and who said what", explanations.OUTCOMES,
                tables=[levels.outcomes(results, level) for level in OUTCOMES],
                absent="no probe of the benchmark has a rival."),
        section("Unanswerable questions", explanations.REFUSALS, tables=[levels.refusals(results)],
                absent="the benchmark has no unanswerable question."),
        section(
            "Conditions",
            wording.conditions(),
            ["em_by_condition"],
            [em.conditions(results)],
            [
                em.breakdown(results, "level", LEVELS),
                *(em.conditions(results, metric) for metric in OTHER_METRICS),
                em.floors(results),
            ],
        ),
        section("Efficiency", explanations.EFFICIENCY, tables=[runs.efficiency(results)],
                absent="no run has both conditions A and B."),
        Section("Examples", explanations.EXAMPLES if shown else "Not run: no answers were given.",
                examples=shown),
        section("Paired tests", explanations.PAIRED, tables=[em.paired_tests(results)],
                absent="no run has two conditions to compare."),
        section("Category of the fact", explanations.CATEGORY, ["em_by_category"],
                folded=[em.breakdown(results, "category")]),
        section(
            "Position of the fact",
            explanations.POSITION,
            ["em_by_position"],
            folded=[
                em.breakdown(results, "position", THIRDS),
                em.breakdown(results, "probe_order", THIRDS),
            ],
        ),
        section("Distractor", explanations.DISTRACTOR, ["distractor"], [sweeps.distractor(results)],
                absent="condition D is not among the conditions of any run."),
        sweep("retention", [sweeps.sweep(results, "retention", "retention_ratio")]),
        section(
            "What is new",
            explanations.HELD_OUT,
            ["splits"],
            [em.splits(results, results.regimes())],
            [em.splits(results, results.runs) if results.compared() else None,
             *(em.splits(results, results.runs, level) for level in LEVELS),
             em.breakdown(results, "language")],
            absent="the benchmark has no splits by what is new.",
        ),
        section("Level 2: two facts in one answer", explanations.COMPOSITION,
                tables=[em.breakdown(results, "composition")]),
        sweep("capacity", [sweeps.sweep(results, "capacity", "memory_efficiency"),
                           sweeps.capacity_order(results)]),
        sweep("scale", folded=[sweeps.sweep(results, "scale")]),
        section("Write gates and surprise", wording.gates(results), ["gates"],
                [diagnostics.segments(results)], absent="no diagnostics were given."),
        section("Size of the fast weights", explanations.NORMS, ["norms"],
                folded=[diagnostics.norms(results)], absent="no diagnostics were given."),
        section("Training", explanations.TRAINING, ["training_loss", "inner_norm"],
                [training.training(results)], absent="no training curves were given."),
        section("What makes the difference", explanations.ATTRIBUTION, ["attribution"],
                [runs.attribution(results), runs.differences(results)],
                absent="no run says in `differs` what it changes; "
                "`config/full.yaml` has one run for each."),
        forecasts,
        section("Benchmark", explanations.BENCHMARK, folded=[benchmark.benchmark(results)]),
        section("How to read this, and its limits", wording.limits(results)),
    ]  # fmt: skip
