"""Blocks of docs/forecast-results.md, and their figure, from a finished forecast study."""

import re
from pathlib import Path

import matplotlib as mpl

from ... import io
from ...errors import UserError
from ...forecast.comparison import figures as drawn
from ...forecast.comparison import results
from ...forecast.comparison.axes import title
from ...forecast.comparison.leaderboard import rivals_table, table
from ...forecast.comparison.results import Study
from ..figures import style
from ..wording import forecast_result
from . import blocks, figures
from .cells import markdown

# Test MSE, one step ahead, that the publication reports for its sine waves: one memory for all
# series, never reset.
PUBLISHED = {"sinwave": {"titans_default": 0.019, "adam_gated": 0.019, "contrastive_ema": 0.018}}
AS_PUBLISHED = ", figure of the publication"


def write_forecasts(folder: Path, command: str, out: Path, place: Path) -> list[Path]:
    """Write the block that is called as `folder` into a page, and its figure beside the others.

    Args:
        folder: results of a study, with forecast/leaderboard.parquet and forecast/rivals.parquet.
        command: what made them.
        out: docs/forecast-results.md.
        place: folder of the figures.

    Returns:
        The files written.

    Raises:
        UserError: a file is missing or damaged, or the page lacks the block.
    """
    name = re.sub(r"\W", "_", folder.resolve().name)
    if not out.is_file():
        raise UserError(f"{out}: no such file; expected a page with a block '{name}'")
    study = results.load(
        folder / "forecast" / "leaderboard.parquet",
        [],
        [],
        [],
        sorted((folder / "series").glob("*.parquet")),
        folder / "forecast" / "rivals.parquet",
    )
    figure = place / f"forecast-{name}.svg"
    with style.look(), mpl.rc_context(figures.SETTINGS):
        picture = figures.svg(drawn.leaderboards(study))
    body = _body(study, _source(study, command), f"{place.name}/{figure.name}")
    page = blocks.replaced(out.read_text(encoding="utf-8"), name, body, out)
    io.write_text(figure, picture)
    io.write_text(out, page)
    return [out, figure]


def _source(study: Study, command: str) -> str:
    """Where the numbers come from, as one Markdown paragraph."""
    note = next(iter(study.notes.values()))
    versions = ", ".join(f"{name} {note['versions'][name]}" for name in ("python", "torch"))
    return f"*`{command}`; {versions}. Written by `workflow/scripts/results_page.py`.*"


def _body(study: Study, source: str, picture: str) -> str:
    parts = [source, f"![Test MSE of every forecaster, with intervals over seeds]({picture})"]
    for dataset in study.datasets:
        families = [family for family in study.families if family.dataset == dataset]
        parts.append(f"### {title(study, dataset, study.horizons(dataset))}")
        parts += [forecast_result(study, family) for family in families]
        parts.append(markdown(_lines(study, dataset)))
        found = rivals_table(study.rivals, dataset)
        if len(found):
            parts.append(markdown(found.to_dict("records")))
    return "\n\n".join(parts)


def _lines(study: Study, dataset: str) -> list[dict[str, str]]:
    """The leaderboard, and below it what the publication reports for the same kind of series.

    A column that is empty for the whole dataset is left out.
    """
    shown = table(study.leaderboard, dataset)
    empty = [name for name in shown if shown[name].isin(["", "–"]).all()]
    lines = shown.drop(columns=empty).to_dict("records")
    published = PUBLISHED.get(dataset, {}) if 1 in study.horizons(dataset) else {}
    return lines + [
        {"strategy": name + AS_PUBLISHED, "horizon": "1", "test MSE": f"{mse:.3f}"}
        for name, mse in published.items()
    ]
