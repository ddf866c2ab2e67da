"""Render a report as Markdown, and as one HTML page that needs no other file."""

import base64
import re
from dataclasses import dataclass, replace
from importlib.resources import files

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from . import explanations
from .first_screen import FIGURE, GAP, FirstScreen
from .sections import Section

_MARKDOWN = MarkdownIt("commonmark", {"html": False})
# What Markdown may read as more than text: anywhere, and at the beginning of a line.
_SIGNS, _BULLET = re.compile(r"([\\`*_{}\[\]<>|#&~])"), re.compile(r"^(\d*)([-+.)])", re.MULTILINE)


@dataclass(frozen=True)
class Image:
    """A figure: its title, what it shows in words, and the SVG."""

    title: str
    text: str
    svg: bytes

    def saying(self, more: str) -> "Image":
        """The same with `more` behind its words."""
        return replace(self, text=f"{self.text} {more}")

    @property
    def source(self) -> str:
        """The SVG as an address that holds it."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()


@dataclass(frozen=True)
class Report:
    """All that a report says: title, first screen, sections, drawn figures by name, and facts.

    `facts` are what the templates say of the numbers themselves: versions, inputs and the scoring.
    """

    title: str
    first: FirstScreen
    sections: list[Section]
    images: dict[str, Image]
    facts: dict


def markdown(report: Report) -> str:
    """The text of RESULTS.md. It links to figures/NAME.svg."""
    return _render("RESULTS.md.j2", report)


def landing(report: Report) -> str:
    """The first screen with its style, to stand in another page."""
    return _render("landing.html.j2", report)


def html(report: Report) -> str:
    """The page, with the figures in it."""
    return _render("index.html.j2", report)


def _render(template: str, report: Report) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(
            lambda name: (files(__package__) / "templates" / name).read_text("utf-8")
        ),
        autoescape=template.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["markdown"] = lambda text: Markup(_MARKDOWN.render(text))
    environment.filters["estimate"] = _estimate
    environment.filters["cell"] = lambda text: str(text).replace("|", "\\|")
    environment.filters["plain"] = lambda text: _SIGNS.sub(r"\\\1", " ".join(text.split()))
    environment.filters["quoted"] = quoted
    environment.filters["anchor"] = lambda text: "-".join(
        "".join(c if c.isalnum() else " " for c in text.lower()).split()
    )
    return environment.get_template(template).render(
        title=report.title,
        first=report.first,
        sections=report.sections,
        images=report.images,
        facts=report.facts,
        lead=explanations.LEAD,
        rule=explanations.FIRST_DIALOGUE,
        figure=report.images.get(FIGURE),
        gap=GAP,
    )


def quoted(text: str) -> str:
    """The text of a quotation in Markdown, line by line."""
    lines = _BULLET.sub(r"\1\\\2", _SIGNS.sub(r"\\\1", text)).split("\n")
    return "  \n> ".join(lines)


def _estimate(cell: str) -> Markup | str:
    """Put the interval of "0.956 [0.941, 0.969]" on a line of its own."""
    value, bracket, interval = cell.partition(" [")
    if not bracket:
        return cell
    return Markup("{}<small>[{}</small>").format(value, interval)
