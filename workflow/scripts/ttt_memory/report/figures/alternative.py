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
        "From bottom to top": [_upwards(axes) for axes in panels],
        "Legend": labels,
    }
    found = {name: list(dict.fromkeys(filter(None, map(_line, p)))) for name, p in parts.items()}
    said = [f"{name}: {'; '.join(texts)}." for name, texts in found.items() if texts]
    return " ".join([f"{title}.", *said])


def _upwards(axes: Axes) -> str:
    """The label of the vertical axis, or its names if they are few words."""
    names = [label.get_text() for label in axes.get_yticklabels()]
    return axes.get_ylabel() or "; ".join(name for name in names if not _number(name))


def _number(text: str) -> bool:
    return not any(character.isalpha() for character in text)


def _line(text: str) -> str:
    return " ".join(text.split())
