"""What the buttons of the page do.

Each is a generator: it changes the session and yields lines for the reader; the page is drawn again
after each of them.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from ...errors import UserError
from ...scoring.string_metrics import exact
from ..conversation import CONTEXT, FAST_WEIGHTS, is_question
from ..given_texts import LONGEST, told_lines
from ..session import Asked, Session
from .examples import Example
from .guide import untold

Action = Callable[..., Iterator[str]]


def tell(session: Session, said: str) -> Iterator[str]:
    """Take a line, or the lines of a conversation that was pasted."""
    session.tell(_lines(said))
    yield f"Told: {session.chat.context_tokens():,} tokens in the context. Next: drop it."


def ask(session: Session, question: str) -> Iterator[str]:
    """Answer a question from every source."""
    if len(lines := _lines(question)) > 1:
        raise UserError(f"found {len(lines)} lines, expected one question")
    yield f"Asking: {lines[0]} ..."
    yield _came_from(session.ask(lines[0]))


def _lines(said: str) -> list[str]:
    """What is in the box."""
    if not said.strip():
        raise UserError("the box is empty: write a line into it first")
    return told_lines(said)


def _came_from(asked: Asked) -> str:
    """What to make of the answers."""
    if asked.answers[FAST_WEIGHTS] is None and asked.answers[CONTEXT] is None:
        return "Answered from nothing: nothing is told, and no fast weights are there."
    if asked.answers[CONTEXT] is not None:
        return "Answered: the text is still in the context."
    if not asked.knew:
        return "The text is gone, and the fast weights do not know."
    return (
        "The text is gone: only the fast weights can have known. They may be wrong, so compare the"
        " answer with what was told."
    )


def say(session: Session, said: str) -> Iterator[str]:
    """A line as the terminal takes it: a question if it ends in a question mark."""
    question = is_question(said.strip()) and "\n" not in said.strip()
    yield from (ask if question else tell)(session, said)


def drop(session: Session) -> Iterator[str]:
    """Write the text and drop it."""
    session.drop()
    yield "Dropped: the text and its KV cache are gone. Now ask."


def write_another(session: Session, said: str) -> Iterator[str]:
    """Tell and drop at once: what is in the box, or else an example that was not told yet."""
    example = untold(session)
    if not said.strip() and example is None:
        raise UserError("found no text, expected another conversation in the box")
    session.tell(_lines(said) if said.strip() else example.lines)
    session.drop()
    tokens = int(session.chat.state.written)
    what = "It" if said.strip() else f"The box was empty, so an example ({example.name})"
    yield (
        f"{what} was dropped into the same memory, which holds {tokens:,} tokens. Ask about any of"
        " the conversations."
    )


def forget(session: Session) -> Iterator[str]:
    """Put the fast weights away."""
    session.forget()
    yield "Forgotten: the fast weights are put away."


def remember(session: Session) -> Iterator[str]:
    """Bring them back."""
    session.remember()
    yield "Remembered: the fast weights are back."


def new(session: Session) -> Iterator[str]:
    """Begin anew."""
    session.new()
    yield "A new conversation."


def load(session: Session, path: str) -> Iterator[str]:
    """Take the fast weights of an uploaded file."""
    session.load(path)
    yield f"Loaded from {Path(path).name}."


def upload(session: Session, path: str) -> Iterator[str]:
    """Tell the lines of an uploaded file."""
    with open(path, "rb") as file:
        content = file.read(4 * LONGEST + 1)
    lines = told_lines(content, Path(path).name)
    session.tell(lines)
    yield f"Told {len(lines):,} lines of {Path(path).name}. Next: drop them."


def show(example: Example) -> Action:
    """An action that goes through the whole of `example`."""

    def whole(session: Session) -> Iterator[str]:
        session.new()
        session.tell(example.lines)
        yield "1. Told. Asking with the text in the context ..."
        session.ask(example.question)
        yield "2. Answered. Dropping the text ..."
        session.drop()
        yield "3. Dropped: the text is gone. Asking again ..."
        yield _outcome(example, session.ask(example.question).answers[FAST_WEIGHTS])

    return whole


def _outcome(example: Example, said: str) -> str:
    if exact(said, example.answer):
        return f"Without the text, from fast weights alone: {example.answer}. That is right."
    return f"Without the text the fast weights give another answer than {example.answer}."
