"""The README's two figures: what is new in a dialogue, and what is put between write and read.

An SVG holds both looks: a style sheet replaces each colour where the reader prefers dark pages.
"""

from io import StringIO
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...vocabulary import COMPARED, HEADLINE_SPLIT, SPLITS
from ..figures import style
from ..summaries import of_seeds
from .cells import sweep
from .study import FinishedStudy

INK, PAPER, GRID, BASE = "#24292f", "#ffffff", "#d8dee4", "#6e7781"
COLOURS = {name: style.CONDITION_COLOURS[name].lower() for name in COMPARED} | {"base": BASE}
DARK = {
    INK: "#e6edf3",
    PAPER: "#0d1117",
    GRID: "#30363d",
    BASE: "#8b949e",
    COLOURS["A"]: "#58a6e0",
    COLOURS["B"]: "#ff9248",
}
SETTINGS = {
    "svg.fonttype": "path",
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "grid.color": GRID,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
}
NAME_WIDTH = 12  # characters of a line below a pair of bars
HEIGHT = 2.9  # inches, of both figures: they stand side by side


def wording(study: FinishedStudy) -> Figure:
    """EM of A and B by what of the dialogue is new; a mark for the base before the training."""
    found = study.results
    figure = Figure(figsize=(4.0, HEIGHT), layout="constrained")
    axes = figure.subplots()
    splits = [
        split
        for split in SPLITS
        if found.one("memory_efficiency", run=study.memory, split=split) is not None
    ]
    for place, condition in enumerate(COMPARED):
        rows = found.rows("em_compared", by=["split"], run=study.memory, condition=condition)
        rows = rows.set_index("split").loc[splits]
        x = np.arange(len(splits)) + (place - 0.5) * 0.38
        axes.bar(x, rows["value"], 0.35, color=COLOURS[condition], label=_name(condition))
        axes.errorbar(x, rows["value"], style.errors(rows), fmt="none", ecolor=INK, capsize=2)
        for where, em, high in zip(x, rows["value"], rows["high"], strict=True):
            axes.text(where, high + 0.01, f"{em:.2f}", ha="center", va="bottom", fontsize=8)
    base = found.rows("em_compared", by=["split"], run=study.published, condition="A")
    base = base.set_index("split")["value"].reindex(splits)
    looks = {"markersize": 18, "markeredgewidth": 1.6, "linestyle": "none"}
    x = np.arange(len(splits)) - 0.19
    axes.plot(x, base, "_", color=BASE, label="A before training", **looks)
    sizes = found.rows("memory_efficiency", by=["split"], run=study.memory).set_index("split")["n"]
    names = [f"{fill(SPLITS[split], NAME_WIDTH)}\nn = {sizes[split]}" for split in splits]
    axes.set_xticks(range(len(splits)), names, fontsize=7.5)
    _em_axis(axes, 1.0)
    seeds = found.one("memory_efficiency", run=study.memory)["seeds"]
    axes.set_title(f"What of the dialogue is new\n({of_seeds(seeds)})")
    axes.legend(loc="upper right", bbox_to_anchor=(1.04, 1.02))
    return figure


def keeping(study: FinishedStudy) -> Figure:
    """EM of B after distractor text, and of A and B with several dialogues in one state.

    What A makes of the dialogue and a distractor in its context is of level 3, whose distractors
    have different lengths: a horizontal bar reaches from the shortest to the longest.
    """
    figure = Figure(figsize=(5.4, HEIGHT), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    highest = max(_after_distractor(left, study), _several_dialogues(right, study))
    _em_axis(left, highest)
    return figure


def _after_distractor(axes: Axes, study: FinishedStudy) -> float:
    """Draw the left panel; the highest number in it."""
    found = study.results
    rows = sweep(found, "em", study.memory, "retention")
    _line(axes, rows, "B", "B, both written")
    highest = max(row["high"] for row in rows.values())
    low, high = study.record["config"]["benchmark"]["distractor_tokens"]
    marks = (
        (study.memory, "A", "A, both in context"),
        (study.published, "base", "A before training"),
    )
    for run, name, text in marks:
        row = found.one("em", run=run, condition="A", level="3", split=HEADLINE_SPLIT)
        if row is None:
            continue
        ends = [[row["value"] - row["low"]], [row["high"] - row["value"]]]
        middle, reach = (low + high) / 2, (high - low) / 2
        look = {"fmt": "s", "capsize": 2, "color": COLOURS[name], "label": text}
        axes.errorbar([middle], [row["value"]], ends, reach, **look)
        highest = max(highest, row["high"])
    axes.legend(loc="upper right")
    axes.set_xlabel("tokens of distractor after the dialogue")
    axes.set_title(f"A distractor afterwards\n({_size(rows)})")
    return highest


def _several_dialogues(axes: Axes, study: FinishedStudy) -> float:
    """Draw the right panel; the highest number in it."""
    named = (("capacity_context", "A, all in context"), ("capacity", "B, all written"))
    sweeps = dict(zip(COMPARED, named, strict=True))
    highest = 0.0
    for condition, (name, label) in sweeps.items():
        rows = sweep(study.results, "em", study.memory, name)
        _line(axes, rows, condition, label)
        highest = max(highest, *(row["high"] for row in rows.values()))
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(rows), [f"{count:.0f}" for count in rows])
    axes.minorticks_off()
    axes.legend(loc="upper right")
    axes.set_xlabel("dialogues")
    axes.set_title(f"Several dialogues\n({_size(rows)})")
    return highest


def svg(figure: Figure) -> str:
    """The figure as SVG text for light and dark pages, the same bytes for the same numbers."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    rules = "".join(
        f'[style*="{part}: {light}"]{{{part}:{dark}!important}}'
        for light, dark in DARK.items()
        for part in ("fill", "stroke")
    )
    sheet = f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>"
    text = buffer.getvalue().replace("<defs>", f"{sheet}\n <defs>", 1)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _line(axes: Axes, rows: dict, condition: str, label: str | None = None) -> None:
    values, lows, highs = (
        np.array([row[name] for row in rows.values()]) for name in ("value", "low", "high")
    )
    axes.errorbar(
        list(rows),
        values,
        [values - lows, highs - values],
        color=COLOURS[condition],
        marker="s" if condition == "A" else "o",
        capsize=2,
        label=label,
    )


def _size(rows: dict) -> str:
    row = next(iter(rows.values()))
    return f"n = {row['n']}, {of_seeds(row['seeds'])}"


def _name(condition: str) -> str:
    return "A: in context" if condition == "A" else "B: fast weights"


def _em_axis(axes: Axes, highest: float) -> None:
    """The axis of EM, with room for the legend above the `highest` number."""
    axes.set_ylim(0, 1.6 * max(highest, 0.1) if highest < 0.5 else 1.09)
    if highest >= 0.5:
        axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_ylabel("EM (strict)")


DRAWERS = {"wording": wording, "keeping": keeping}
