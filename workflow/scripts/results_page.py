"""Write the tables and figures of docs/results.md, docs/forecast-results.md and the README.

python workflow/scripts/results_page.py --run results/headline \
    --command 'make run CONFIG=config/headline.yaml ARGS="--resources gpu=2"'

python workflow/scripts/results_page.py --attribution results/attribution \
    --command 'make run CONFIG="config/full.yaml config/attribution.yaml"'

python workflow/scripts/results_page.py --forecast results/drift \
    --command 'make run CONFIG=config/drift.yaml'

Only what stands between the comments `begin` and `end` of a page is written. A block whose folder
is not given stays as it is. `--command` says what made the folder; the page repeats it.
"""

import argparse
from pathlib import Path

from ttt_memory import errors
from ttt_memory.report.results_page.forecasts import write_forecasts
from ttt_memory.report.results_page.pages import write_attribution, write_study
from ttt_memory.report.results_page.study import load_study


def main() -> None:
    """Parse the command line, read the folder, write the pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = parser.add_mutually_exclusive_group(required=True)
    folder.add_argument("--run", type=Path, metavar="DIR", help="results: README and all tables")
    folder.add_argument(
        "--attribution", type=Path, metavar="DIR", help="results: the table of single changes"
    )
    folder.add_argument(
        "--forecast", type=Path, metavar="DIR", help="results: the block of a forecast study"
    )
    parser.add_argument("--command", required=True, help="the command that made the folder")
    parser.add_argument("--memory", default="write-drop-read", help="run that is reported")
    parser.add_argument("--published", default="b-mini", help="run that is trained as published")
    parser.add_argument("--processor", help="its name, if the folder's record has none")
    parser.add_argument("--out", default="docs/results.md", type=Path, metavar="FILE")
    parser.add_argument("--readme", default="README.md", type=Path, metavar="FILE")
    parser.add_argument("--figures", default="docs/figures", type=Path, metavar="DIR")
    parser.add_argument(
        "--forecast-page", default="docs/forecast-results.md", type=Path, metavar="FILE"
    )
    args = parser.parse_args()
    if args.forecast:
        written = write_forecasts(args.forecast, args.command, args.forecast_page, args.figures)
        print(*written, sep="\n")
        return
    study = load_study(
        args.run or args.attribution, args.command, args.memory, args.published, args.processor
    )
    if args.run:
        written = write_study(study, args.out, args.readme, args.figures)
    else:
        written = write_attribution(study, args.out)
    print(*written, sep="\n")


if __name__ == "__main__":
    errors.run(main)
