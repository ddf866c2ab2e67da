"""The parts of the page as HTML. All that a person or a model said is shown as text."""

from collections.abc import Iterable
from html import escape
from itertools import groupby

from ..conversation import CONTEXT, FAST_WEIGHTS, LEARNED_NOTHING, NOTHING
from ..session import (
    AWAY,
    BROUGHT_BACK,
    DROPPED,
    GONE,
    LEAST_SHARE,
    PUT_AWAY,
    SOURCES,
    Asked,
    Event,
    Happened,
    Loaded,
    Sizes,
    Told,
    named,
)
from .guide import ASK, DROP, TELL

PLACES = {
    CONTEXT: "Told, in the context",
    FAST_WEIGHTS: "Dropped: the model has only its fast weights",
    AWAY: "Forgotten: its fast weights are put away",
    GONE: "Gone: other fast weights took its place",
}
HEADINGS = {
    CONTEXT: "From the context",
    FAST_WEIGHTS: "From fast weights",
    NOTHING: "From neither",
}
ABSENT = {
    CONTEXT: "no text in the context",
    FAST_WEIGHTS: "nothing is written",
    NOTHING: "not asked",
}
HAPPENED = {
    DROPPED: "Here the text was written into the fast weights, and dropped",
    PUT_AWAY: "Here the fast weights were put away",
    BROUGHT_BACK: "Here the fast weights were brought back",
}
FOUND, LOOKED = "Where the fast weights found it", "Where the fast weights looked"
READ_FROM = ": words by their share in what was read"
UNTRAINED = f"{LEARNED_NOTHING[0].upper()}{LEARNED_NOTHING[1:]}."
MOST_SHADE = 0.6  # beyond it the share beside a word is hard to read in the dark
UNTRACED = ": not known, as they hold no single words of that text."
ELSEWHERE = "; {rest:.0%} lies elsewhere"
EMPTY = "<p class='empty'>Nothing has been told. Press Tell: the line below is an example.</p>"
STEPS = {
    TELL: ("Tell", "The model reads a text, which is then in its context."),
    DROP: (
        "Drop the context",
        "The text goes, with all that the model computed of it (its KV cache). What is left is"
        " what it changed in a few of the model's weights: the fast weights.",
    ),
    ASK: ("Ask", "There is no text any more. Does the model still know?"),
}
THREE_WAYS = (
    "One question, three answers: with the text in the context, with the fast weights alone, and"
    " with neither."
)
# Gradio fills in templates with these signs, so that no text may hold them.
SIGNS = str.maketrans({"$": "&#36;", "{": "&#123;", "}": "&#125;", "`": "&#96;"})


def text(said: str) -> str:
    """`said` as text of the page, whatever markup it holds."""
    return escape(said).translate(SIGNS)


def steps(now: str) -> str:
    """The three steps, of which `now` comes next."""
    shown = "".join(
        f"<li{' aria-current=step' if step == now else ''}><strong>{name}</strong><p>{why}</p></li>"
        for step, (name, why) in STEPS.items()
    )
    return f"<ol class='steps'>{shown}</ol>"


def conversation(events: list[Event]) -> str:
    """All that happened, as a list of bubbles."""
    if not events:
        return EMPTY
    runs = groupby(events, key=lambda event: (type(event), getattr(event, "place", id(event))))
    shown = "".join(_bubbles(list(run)) for _, run in runs)
    first = f"<p class='where'>{THREE_WAYS}</p><dl>"
    return f"<ol class='talk'>{shown.replace('<dl>', first, 1)}</ol>"


def _bubbles(run: list[Told] | list[Asked] | list[Loaded] | list[Happened]) -> str:
    """Lines of one place in a row, a question, a file, or what happened."""
    if isinstance(run[0], Happened):
        return "".join(f"<li class='happened'><p>{HAPPENED[e.what]}</p></li>" for e in run)
    if isinstance(run[0], Asked):
        return "".join(map(_asked, run))
    if isinstance(run[0], Loaded):
        names = ", ".join(text(event.name) for event in run)
        return f"<li class='happened'><p>Fast weights loaded from {names}</p></li>"
    lines = "".join(f"<p class='line'>{_line(event)}</p>" for event in run)
    place = run[0].place
    css = place.replace(" ", "-")
    return f"<li class='told {css}'><p class='where'>{PLACES[place]}</p>{lines}</li>"


def _line(event: Told) -> str:
    if event.written is None:
        return text(event.text)
    return "".join(_word(*word) for word in event.written.words)


def _word(word: str, gate: float) -> str:
    if word.isspace():
        return word
    return (
        f"<span class='word' style='--gate:{gate:.2f}' title='gate {gate:.2f}'>{text(word)}</span>"
    )


def _asked(event: Asked) -> str:
    answers = "".join(_answer(source, event.answers[source]) for source in SOURCES)
    return (
        f"<li class='asked'><p class='question'>{text(event.question)}</p><dl>{answers}</dl>"
        f"{_read_from(event)}</li>"
    )


def _answer(source: str, said: str | None) -> str:
    shown = f"<dd>{text(said) or '(silence)'}</dd>" if said is not None else ""
    shown = shown or f"<dd class='absent'>{ABSENT[source]}</dd>"
    css = source.replace(" ", "-") + (" given" if said is not None else "")
    return f"<div class='answer {css}'><dt>{HEADINGS[source]}</dt>{shown}</div>"


def _read_from(event: Asked) -> str:
    """Where the fast weights' answer came from, below the answers."""
    if not event.answers[FAST_WEIGHTS]:
        return ""
    if event.untrained:
        return f"<div class='read'><p class='where'>{UNTRAINED}</p></div>"
    heading, lines = FOUND if event.knew else LOOKED, named(event)
    if not lines:
        return f"<div class='read'><p class='where'>{heading}{UNTRACED}</p></div>"
    shown = "".join(
        f"<p class='source'>{''.join(_read_word(*word) for word in line.words)}</p>"
        for line in lines
    )
    heading += READ_FROM
    if (rest := 1 - sum(line.share for line in event.read)) > LEAST_SHARE:
        heading += ELSEWHERE.format(rest=rest)
    return f"<div class='read'><p class='where'>{heading}</p>{shown}</div>"


def _read_word(word: str, share: float) -> str:
    if word.isspace() or share < LEAST_SHARE:
        return text(word)
    shade = f"--gate:{min(MOST_SHADE, share):.2f}"
    return f"<span class='word' style='{shade}'>{text(word)}<sub> {share:.0%}</sub></span>"


def memory(sizes: Sizes, layers: int) -> str:
    """What is kept, beside what it replaces; the model has so many `layers`."""
    kept = {
        "Kept: fast weights": sizes.fast_weights,
        "Dropped: KV cache of the text": sizes.cache,
        "Dropped: the text": sizes.text,
    }
    largest = max(filter(None, kept.values()), default=1)
    bars = "".join(_bar(name, size, largest) for name, size in kept.items())
    used = min(1.0, sizes.held / sizes.room)
    counts = {
        f"Capacity used: {sizes.held:,} of {sizes.room:,} keys": f"{used:.0%}",
        "Tokens written": f"{sizes.written:,}",
        "Tokens in the context": f"{sizes.in_context:,}",
        f"{'Layer' if len(sizes.layers) == 1 else 'Layers'} with fast weights, of 0 to"
        f" {layers - 1}": ", ".join(map(str, sizes.layers)),
    }
    rows = "".join(_row(name, shown) for name, shown in counts.items())
    return f"<h2>Memory</h2><table class='sizes'><tbody>{bars}{rows}</tbody></table>"


def _bar(name: str, size: int | None, largest: int) -> str:
    bar = f"<div class='bar' style='--share:{100 * size / largest:.2f}%'></div>" if size else ""
    return f"<tr><th scope='row'>{name}{bar}</th><td>{amount(size)}</td></tr>"


def _row(name: str, shown: str) -> str:
    return f"<tr><th scope='row'>{name}</th><td>{shown}</td></tr>"


def amount(size: int | None) -> str:
    """Bytes for a reader: 812 bytes, 49 kB, 1.6 MB."""
    if size is None:
        return "unknown"
    if size < 1_000:
        return f"{size} bytes"
    return f"{size / 1e3:,.0f} kB" if size < 1e6 else f"{size / 1e6:,.1f} MB"


def status(message: str, refused: bool = False) -> str:
    """One line about what was done, or why it was not."""
    line = text(" ".join(message.split()))
    return f"<p class='{'refused' if refused else 'done'}'>{line}</p>"


def scores(how_often: str) -> str:
    """What to expect of the answers."""
    return f"<p class='legend'>{text(how_often)}</p>"


def legend(steps: Iterable[float] = (0.0, 0.25, 0.5, 0.75, 1.0)) -> str:
    """What a shade means."""
    shades = "".join(f"<span class='word' style='--gate:{g:.2f}'>{g:g}</span> " for g in steps)
    return (
        "<p class='legend'>Shade of a dropped word: how strongly it was written, from 0 to 1."
        f" <span class='shades'>{shades}</span> The words are shown for you alone; the model no"
        " longer has them.</p>"
        "<p class='legend'>Share below an answer: how much of what the fast weights gave came from"
        " this word, which brings back itself or what came after it. Elsewhere: the marks around"
        " each text, or the text of a loaded file.</p>"
        "<p class='legend'>Forget puts the fast weights away: the model knows nothing again."
        " Remember brings them back. Save keeps them in a file. Start over, Load it and Ask: the"
        " model needs nothing else.</p>"
    )
