"""The chat by lines of text: what the terminal takes and answers."""

from ..errors import UserError
from .conversation import FAST_WEIGHTS, LEARNED_NOTHING, NOTHING, is_question
from .given_texts import told_lines
from .session import LEAST_SHARE, Asked, Session, named

HELP = """\
TEXT            told: kept in the context until /drop; several lines that are pasted are one text
QUESTION?       answered from the context, else the fast weights, else nothing
/drop           write the text into the fast weights and drop it: no text, no KV cache
/why            the words that the last answer from fast weights was read from
/forget         put the fast weights away: what was dropped is forgotten
/remember       bring them back; fast weights written since then are put away instead
/save FILE      keep the fast weights in a file;  /load FILE  takes them from one
/new            begin anew;  /help  this;  /quit  leave"""
BY_ITSELF = "(nothing is told or written: this is what the model says by itself)"
FORGOTTEN = "(the fast weights are put away: this is what the model says by itself)"
EMPTY = "(nothing is written in these fast weights: this is what the model says by itself)"
UNTRAINED = f"({LEARNED_NOTHING})"


class LineChat:
    """A conversation by lines of text: `say` takes a line and returns what to print."""

    def __init__(self, session: Session) -> None:
        self.session, self.chat = session, session.chat
        self._commands = {
            "/drop": self._drop,
            "/why": self._why,
            "/forget": self._forget,
            "/remember": self._remember,
            "/save": self._save,
            "/load": self._load,
            "/new": self._new,
            "/help": lambda _: HELP,
        }

    @property
    def commands(self) -> list[str]:
        """All that begins with a slash."""
        return [*self._commands, "/quit"]

    def say(self, line: str) -> str:
        """Carry out one line, or take several that were pasted, and return the answer.

        Raises:
            UserError: no such command, or it cannot be done now.
        """
        line = line.strip()
        if "\n" in line:
            return self._tell(line)
        if line.startswith("/"):
            return self._command(line)
        return self._ask(line) if is_question(line) else self._tell(line)

    def _command(self, line: str) -> str:
        name, _, rest = line.partition(" ")
        if name not in self._commands:
            raise UserError(f"{name}: no such command; expected one of {self.commands}")
        try:
            return self._commands[name](rest.strip())
        except UserError as error:
            raise UserError(f"{name}: {error}") from error

    def _tell(self, text: str) -> str:
        lines = told_lines(text)
        self.session.tell(lines)
        count = f"{len(lines)} lines told" if len(lines) > 1 else "told"
        return f"[{count}, {self.chat.context_tokens()} tokens in context]"

    def _ask(self, question: str) -> str:
        source = self.chat.sources[0]
        said = self.session.ask(question, [source]).answers[source]
        note = self._note(source)
        untrained = "untrained " if source == FAST_WEIGHTS and self.chat.untrained else ""
        return f"[from {untrained}{source}] {said}" + (f"\n{note}" if note else "")

    def _note(self, source: str) -> str:
        """What to know of an answer behind which no memory stands."""
        if source == NOTHING:
            return FORGOTTEN if self.chat.away is not None else BY_ITSELF
        if source != FAST_WEIGHTS:
            return ""
        if not int(self.chat.state.written):
            return EMPTY
        return UNTRAINED if self.chat.untrained else ""

    def _drop(self, _: str) -> str:
        self.session.drop()
        state = self.chat.state
        return f"[dropped; {int(state.written)} tokens in {state.nbytes / 1e3:.0f} kB]"

    def _why(self, _: str) -> str:
        asked = [event for event in self.session.events if isinstance(event, Asked)]
        if not asked or asked[-1].answers[FAST_WEIGHTS] is None:
            raise UserError("the last answer is not from fast weights; drop a text and ask first")
        lines = [
            f"{line.share:4.0%}  {''.join(_marked(*word) for word in line.words)}"
            for line in named(asked[-1])
        ]
        if not lines:
            raise UserError("the words that it was read from are not known one by one")
        return "\n".join(
            ["[read from the keys of these words, which give what came after]", *lines]
        )

    def _forget(self, _: str) -> str:
        self.session.forget()
        return "[forgotten]"

    def _remember(self, _: str) -> str:
        self.session.remember()
        return "[remembered]"

    def _save(self, path: str) -> str:
        self.chat.save(path)
        return f"[saved to {path}]"

    def _load(self, path: str) -> str:
        self.session.load(path)
        return f"[loaded from {path}]"

    def _new(self, _: str) -> str:
        self.session.new()
        return "[anew]"


def _marked(word: str, share: float) -> str:
    return word if word.isspace() or share < LEAST_SHARE else f"{word}({share:.0%})"
