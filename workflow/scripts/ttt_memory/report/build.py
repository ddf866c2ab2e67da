"""Write the files of a report: figures, tables, RESULTS.md, landing.html and index.html."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from .. import io
from ..forecast.comparison import figures as forecast
from ..forecast.comparison.results import Study
from . import page
from .config import FIGURES
from .figures import diagnostics, em, equal_bytes, first, style, sweeps, training
from .figures.alternative import described
from .first_screen import FIGURE, first_screen
from .results import Results
from .sections import Section, sections
from .tables.table import Table


def _of_forecast(draw: Callable[[Study], Figure | None]) -> Callable[[Results], Figure | None]:
    return lambda results: draw(results.forecast)


DRAWERS: dict[str, Callable[[Results], Figure | None]] = {
    FIGURE: first.em_by_split,
    "em_by_bytes": equal_bytes.em_by_bytes,
    "em_by_flops": equal_bytes.em_by_flops,
    "em_by_condition": em.em_by_condition,
    "em_by_category": em.em_by_category,
    "em_by_position": em.em_by_position,
    "distractor": em.distractor,
    "splits": em.splits,
    "retention": sweeps.retention,
    "capacity": sweeps.capacity,
    "scale": sweeps.scale,
    "gates": diagnostics.gates,
    "norms": diagnostics.norms,
    "training_loss": training.training_loss,
    "inner_norm": training.inner_norm,
    "attribution": em.attribution,
    **{name: _of_forecast(draw) for name, draw in forecast.DRAWERS.items()},
}


def build_report(results: Results, out: Path) -> None:
    """Write figures (SVG, PNG), tables (CSV), RESULTS.md, landing.html and, at the end, index.html.

    landing.html is the first screen alone, a part of a page: Snakemake's own report begins with it.
    """
    images = _drawn(results, out / "figures")
    if FIGURE in images:
        images[FIGURE] = images[FIGURE].saying(first.in_words(results))
    parts, opening = sections(results, set(images)), first_screen(results)
    _write_tables(parts, opening.table, out / "tables")
    report = page.Report(results.report.title, opening, parts, images, facts(results))
    io.write_text(out / "RESULTS.md", page.markdown(report))
    io.write_text(out / "landing.html", page.landing(report))
    io.write_text(out / "index.html", page.html(report))


def _drawn(results: Results, folder: Path) -> dict[str, page.Image]:
    """Write the file of every figure; return those that have data."""
    images, dpi = {}, results.report.dpi
    with style.look():
        for name, draw in DRAWERS.items():
            # Without runs there are forecasts alone.
            asked = name in forecast.DRAWERS or not results.metrics.empty
            title, figure = FIGURES[name], draw(results) if asked else None
            shown = figure or style.absent(f"{title}: not run")
            lay_out(shown, dpi)
            svg = _saved(shown, "svg", dpi)
            _write(folder / f"{name}.svg", svg)
            _write(folder / f"{name}.png", _saved(shown, "png", dpi))
            if figure is not None:
                images[name] = page.Image(title, described(figure, title), svg)
    return images


def facts(results: Results) -> dict:
    """What the templates say of the numbers: versions, inputs, verdicts and the scoring."""
    versions: dict[str, set[str]] = {}
    inputs = []
    for file, note in results.notes.items():
        for name, version in note.get("versions", {}).items():
            versions.setdefault(name, set()).add(version)
        inputs.append(
            {
                "file": file,
                "config_hash": note.get("config_hash", "–"),
                "seed": note.get("seed", "–"),
            }
        )
    return {
        "versions": {name: ", ".join(sorted(found)) for name, found in sorted(versions.items())},
        "inputs": inputs,
        "verdicts": [
            (f"{results.label(run)}: {results.headline_name(run)}", results.verdict(run), row)
            for run in results.regimes()
            for row in [results.efficiency(run)]
        ],
        "scoring": results.scoring.model_dump(),
        "base": results.base,
    }


def lay_out(figure: Figure, dpi: int) -> None:
    """Compute the layout, the slow part of drawing, once for both files.

    It is computed at the resolution of the PNG, since the width of letters depends on it.
    """
    figure.set_dpi(dpi)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def _saved(figure: Figure, kind: str, dpi: int) -> bytes:
    buffer = BytesIO()
    # A date would change the bytes every time.
    figure.savefig(buffer, format=kind, dpi=dpi, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    with io.beside(path) as temporary:
        temporary.write_bytes(content)


def _write_tables(parts: list[Section], first: Table | None, folder: Path) -> None:
    for table in (first, *(table for part in parts for table in (*part.tables, *part.folded))):
        if table is not None:
            io.write_text(folder / f"{table.name}.csv", table.rows.to_csv(index=False))
