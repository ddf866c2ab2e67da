"""Write the report: verdict, tables and figures of all runs side by side.

python workflow/scripts/report.py --config '{"report": {}, "scoring": {}, "runs": {}}' \
    --benchmark results/benchmark/benchmark.parquet --metrics results/metrics/*/metrics.parquet \
    --curves results/runs/*/*/curve.parquet --diagnostics results/runs/*/*/diagnostics.parquet \
    --gates results/runs/*/*/gates.parquet --scored results/metrics/*/scored.parquet \
    --comparisons results/comparisons.parquet \
    --leaderboard results/forecast/leaderboard.parquet \
    --rivals results/forecast/rivals.parquet --series results/series/*.parquet \
    --forecasts results/forecast/*/*/*/forecasts.parquet \
    --forecast-curves results/forecast/*/*/*/curve.parquet \
    --traces results/forecast/*/*/*/traces.parquet --out results/report

The script writes DIR/RESULTS.md, DIR/index.html (which needs no other file), DIR/landing.html (its
first screen, as a part of another page), DIR/figures and DIR/tables. Sections without data say that
they were not run.
"""

import argparse
from pathlib import Path

from ttt_memory import errors, options
from ttt_memory.forecast.comparison import results as forecast_results
from ttt_memory.report import base_model
from ttt_memory.report.build import build_report
from ttt_memory.report.config import ReportConfig, RunText
from ttt_memory.report.results import load
from ttt_memory.scoring.config import ScoringConfig


def main() -> None:
    """Parse the command line, read everything, write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file: `report`, `scoring`, `runs`"
    )
    # Without runs the conversation study has no files.
    parser.add_argument("--benchmark", nargs="?", type=Path, metavar="FILE")
    parser.add_argument("--metrics", default=[], nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--curves", default=[], nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--diagnostics", default=[], nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--gates", default=[], nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--scored", default=[], nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--comparisons", default=[], nargs="*", type=Path, metavar="FILE")
    # An option without a value means that the forecast study was not run.
    parser.add_argument("--leaderboard", nargs="?", type=Path, metavar="FILE")
    parser.add_argument("--rivals", nargs="?", type=Path, metavar="FILE")
    parser.add_argument("--series", default=[], nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--forecasts", default=[], nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--forecast-curves", default=[], nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--traces", default=[], nargs="*", type=Path, metavar="FILE")
    # Only a converted base model has a note of its origin.
    parser.add_argument("--origin", nargs="?", type=Path, metavar="FILE")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR")
    args = parser.parse_args()
    forecasts = (args.forecasts, args.forecast_curves, args.traces, args.series, args.rivals)
    results = load(
        args.benchmark,
        args.metrics,
        args.curves,
        args.diagnostics,
        args.gates,
        args.scored,
        args.comparisons,
        options.section(args.config, "runs", dict[str, RunText]),
        options.section(args.config, "report", ReportConfig),
        options.section(args.config, "scoring", ScoringConfig),
        forecast_results.load(args.leaderboard, *forecasts) if args.leaderboard else None,
        base_model.told(args.origin) if args.origin else "",
    )
    build_report(results, args.out)
    print(args.out / "index.html")


if __name__ == "__main__":
    errors.run(main)
