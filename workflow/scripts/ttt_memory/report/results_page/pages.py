"""Write the blocks of docs/results.md and of the README, and the README's figures."""

from pathlib import Path

import matplotlib as mpl

from ... import io
from ...errors import UserError
from ..figures import style
from . import blocks, figures, tables
from .aims import aims
from .answer import answer
from .study import FinishedStudy


def write_study(study: FinishedStudy, out: Path, readme: Path, drawn: Path) -> list[Path]:
    """Write the README's table and figures, and all tables but the attribution's.

    Args:
        study: what they are of.
        out: docs/results.md.
        readme: README.md.
        drawn: folder of the figures.

    Returns:
        The files written.

    Raises:
        UserError: a page is missing or lacks a block, or the study lacks what a block is of.
    """
    bodies = {"aims": aims(study)} | {name: of(study) for name, of in tables.TABLES.items()}
    files = {out: _page(out, bodies), readme: _page(readme, {"answer": answer(study)})}
    with style.look(), mpl.rc_context(figures.SETTINGS):
        for name, draw in figures.DRAWERS.items():
            files[drawn / f"{name}.svg"] = figures.svg(draw(study))
    return _written(files)


def write_attribution(study: FinishedStudy, out: Path) -> list[Path]:
    """Write the table of runs that change one thing each into `out`, docs/results.md.

    Raises:
        UserError: the page is missing or lacks the block, or no run changes one thing.
    """
    return _written({out: _page(out, {"attribution": tables.attribution(study)})})


def _written(files: dict[Path, str]) -> list[Path]:
    for path, text in files.items():
        io.write_text(path, text)
    return list(files)


def _page(page: Path, bodies: dict[str, str]) -> str:
    if not page.is_file():
        raise UserError(f"{page}: no such file; expected a page with blocks to write")
    text = page.read_text(encoding="utf-8")
    for name, body in bodies.items():
        text = blocks.replaced(text, name, body, page)
    return text
