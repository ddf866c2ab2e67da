"""From files to files: what the report script runs."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from .. import io
from ..forecast.comparison import figures as forecast
from ..forecast.comparison.results import Study
from . import page
from .config import FIGURES
from .figures import inside, recall, style, sweeps
from .results import Results
from .sections import Section, sections


def _of_forecast(draw: Callable[[Study], Figure | None]) -> Callable[[Results], Figure | None]:
    return lambda results: draw(results.forecast)


DRAWERS: dict[str, Callable[[Results], Figure | None]] = {
    "em_by_condition": recall.em_by_condition,
    "em_by_category": recall.em_by_category,
    "em_by_position": recall.em_by_position,
    "distractor": recall.distractor,
    "splits": recall.splits,
    "retention": sweeps.retention,
    "capacity": sweeps.capacity,
    "scale": sweeps.scale,
    "gates": inside.gates,
    "norms": inside.norms,
    "training_loss": inside.training_loss,
    "inner_norm": inside.inner_norm,
    "attribution": recall.attribution,
    **{name: _of_forecast(draw) for name, draw in forecast.DRAWERS.items()},
}


def build_report(results: Results, out: Path) -> None:
    """Write figures (SVG and PNG), tables (CSV), RESULTS.md and, last, index.html into `out`."""
    drawn, images = set(), {}
    with style.look():
        for name, draw in DRAWERS.items():
            figure = draw(results)
            if figure is not None:
                drawn.add(name)
            figure = figure or style.absent(f"{FIGURES[name]}: not run")
            lay_out(figure, results.report.dpi)
            images[name] = _saved(figure, "svg", results.report.dpi)
            _write(out / "figures" / f"{name}.svg", images[name])
            _write(out / "figures" / f"{name}.png", _saved(figure, "png", results.report.dpi))
    parts = sections(results, drawn)
    _write_tables(parts, out / "tables")
    common = (results.report.title, parts, FIGURES, facts(results))
    io.write_text(out / "RESULTS.md", page.markdown(*common))
    shown = {name: image for name, image in images.items() if name in drawn}
    io.write_text(out / "index.html", page.html(*common, shown))


def facts(results: Results) -> dict:
    """Provenance of the numbers: versions, and each input's configuration hash and seed."""
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
            (results.label(run), results.verdict(run), results.one("memory_efficiency", run=run))
            for run in results.regimes()
        ],
        "scoring": results.scoring.model_dump(),
    }


def lay_out(figure: Figure, dpi: int) -> None:
    """Find the layout, the slow part of drawing, once for both files.

    At the resolution of the PNG: letters are wider there than a coarser one makes them.
    """
    figure.set_dpi(dpi)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def _saved(figure: Figure, kind: str, dpi: int) -> bytes:
    buffer = BytesIO()
    # Without the date, which would change the bytes every time.
    figure.savefig(buffer, format=kind, dpi=dpi, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    with io.beside(path) as temporary:
        temporary.write_bytes(content)


def _write_tables(parts: list[Section], folder: Path) -> None:
    for part in parts:
        for table in (*part.tables, *part.folded):
            io.write_text(folder / f"{table.name}.csv", table.rows.to_csv(index=False))
