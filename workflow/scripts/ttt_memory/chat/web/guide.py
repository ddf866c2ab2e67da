"""What comes next for somebody who sees the page for the first time, and what the box offers."""

from ..conversation import FAST_WEIGHTS
from ..session import DROPPED, Happened, Session, Told
from .examples import EXAMPLES, Example

TELL, DROP, ASK = "tell", "drop", "ask"  # the steps, in their order


def next_step(session: Session | None) -> str:
    """The step that comes next."""
    chat = session and session.chat
    if chat and chat.told:
        return DROP
    return ASK if chat and (chat.state or chat.away) else TELL


def suggestion(session: Session | None) -> str:
    """What to put into an empty box: the first lines, or the question about what was dropped."""
    if session is None or not session.events:
        return "\n".join(EXAMPLES[0].lines)
    if session.events[-1] == Happened(DROPPED):
        return next((e.question for e in EXAMPLES if _last_told(session, e)), "")
    return ""


def offered(session: Session, box: str) -> str:
    """What the box holds next: what somebody wrote stays."""
    return suggestion(session) if not box.strip() or box in suggestions() else box


def suggestions() -> list[str]:
    """All that the box may offer."""
    return ["\n".join(EXAMPLES[0].lines), *(example.question for example in EXAMPLES)]


def untold(session: Session) -> Example | None:
    """The first example of which no line was told."""
    told = {event.text for event in session.events if isinstance(event, Told)}
    return next((example for example in EXAMPLES if not told & set(example.lines)), None)


def _last_told(session: Session, example: Example) -> bool:
    """Whether the lines of `example` were written last."""
    kept = [e.text for e in session.events if isinstance(e, Told) and e.place == FAST_WEIGHTS]
    return tuple(kept[-len(example.lines) :]) == example.lines
