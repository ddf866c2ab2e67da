"""Text for those who cannot see a figure: what it shows, taken from what was drawn."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure


def described(figure: Figure, title: str) -> str:
    """Title, panels, axes and legend of a figure, in words."""
    panels = [axes for axes in figure.axes if axes.get_visible() and axes.get_subplotspec()]
    legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in panels))]
    labels = [text.get_text() for legend in legends for text in legend.get_texts()]
    parts = {
        "Panels" if len(panels) > 1 else "Panel": [axes.get_title(loc="left") for axes in panels],
        "From left to right": [axes.get_xlabel() for axes in panels],
        "From bottom to top": [axes.get_ylabel() for axes in panels],
        "Rows": [name for axes in panels if not axes.get_ylabel() for name in _rows(axes)],
        "Legend": labels,
    }
    found = {name: list(dict.fromkeys(filter(None, map(_line, p)))) for name, p in parts.items()}
    said = [f"{name}: {'; '.join(texts)}." for name, texts in found.items() if texts]
    return " ".join([f"{title}.", *said])


def _rows(axes: Axes) -> list[str]:
    """The names at the vertical axis, unless they are numbers."""
    names = [label.get_text() for label in axes.get_yticklabels()]
    return [name for name in names if any(character.isalpha() for character in name)]


def _line(text: str) -> str:
    return " ".join(text.split())
