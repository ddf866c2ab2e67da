"""Render sections as Markdown, and as one HTML page that needs no other file."""

import base64
from importlib.resources import files

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from .sections import Section

_MARKDOWN = MarkdownIt("commonmark", {"html": False})


def markdown(title: str, sections: list[Section], figures: dict[str, str], facts: dict) -> str:
    """The text of RESULTS.md. It links to figures/NAME.svg; `figures` has their titles by name."""
    return _render("RESULTS.md.j2", title, sections, figures, facts)


def html(
    title: str,
    sections: list[Section],
    figures: dict[str, str],
    facts: dict,
    images: dict[str, bytes],
) -> str:
    """The page, with the `images` in it: SVG by name of the figure."""
    sources = {
        name: "data:image/svg+xml;base64," + base64.b64encode(image).decode()
        for name, image in images.items()
    }
    return _render("index.html.j2", title, sections, figures, facts, sources=sources)


def _render(
    template: str, title: str, sections: list[Section], figures: dict, facts, **more
) -> str:
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
    environment.filters["anchor"] = lambda text: "-".join(
        "".join(c if c.isalnum() else " " for c in text.lower()).split()
    )
    return environment.get_template(template).render(
        title=title, sections=sections, figures=figures, facts=facts, **more
    )


def _estimate(cell: str) -> Markup | str:
    """Put the interval of "0.956 [0.941, 0.969]" on a line of its own."""
    value, bracket, interval = cell.partition(" [")
    if not bracket:
        return cell
    return Markup("{}<small>[{}</small>").format(value, interval)
