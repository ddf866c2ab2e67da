"""What a page shows of one browser's conversation, beside what the model has of it.

The page goes on showing a text that was dropped, so that a person can compare. The model does not
have it any more: `Chat` keeps no word of it, and answers come from `Chat` alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from ..benchmark.sample import REFUSALS
from ..cost.model import Decoder
from ..errors import UserError
from ..fast_weights import LayerState
from ..scoring.string_metrics import best, exact
from .conversation import CONTEXT, FAST_WEIGHTS, NOTHING, Chat
from .words import WrittenLine

DROPPED, PUT_AWAY, BROUGHT_BACK = "dropped", "put away", "brought back"  # what may happen
AWAY, GONE = "forgotten", "replaced"  # places of a text beside CONTEXT and FAST_WEIGHTS
SOURCES = (CONTEXT, FAST_WEIGHTS, NOTHING)
# What is shown of where an answer was read from: lines and words of at least this share, and no
# more than so many lines.
LEAST_SHARE, MOST_LINES = 0.03, 3


@dataclass(frozen=True)
class Told:
    """A line that was told.

    Attributes:
        text: the line.
        place: where it is: in the context, in fast weights, or in neither.
        written: its words and how far the gate let each in; None before it is written.
    """

    text: str
    place: str = CONTEXT
    written: WrittenLine | None = None


@dataclass(frozen=True)
class ReadLine:
    """A line that an answer was read from.

    Attributes:
        words: its pieces, and the share of each in all that was read for the answer.
        share: that of the whole line.
    """

    words: tuple[tuple[str, float], ...]
    share: float


@dataclass(frozen=True)
class Asked:
    """A question and what was answered.

    Attributes:
        question: the question.
        answers: from each source; None where there was nothing of the kind.
        read: from fast weights, the lines that the answer was read from, the largest share first.
        untrained: whether those fast weights have learned nothing.
    """

    question: str
    answers: dict[str, str | None]
    read: tuple[ReadLine, ...] = ()
    untrained: bool = False

    @property
    def knew(self) -> bool:
        """Whether fast weights answered, and did not refuse."""
        said = self.answers[FAST_WEIGHTS]
        return bool(said) and not best(exact, said, REFUSALS.values())


def named(event: Asked) -> list[ReadLine]:
    """The lines to show that an answer from fast weights was read from."""
    return [line for line in event.read if line.share >= LEAST_SHARE][:MOST_LINES]


@dataclass(frozen=True)
class Loaded:
    """Fast weights that came from a file; their text is unknown."""

    name: str
    place: str = FAST_WEIGHTS


@dataclass(frozen=True)
class Happened:
    """A change of the memory, at its place among what was told and asked."""

    what: str


@dataclass(frozen=True)
class Sizes:
    """Bytes of the fast weights that answer, and of what they replace.

    Attributes:
        fast_weights: bytes of the state.
        cache: bytes of the KV cache of as many tokens.
        text: bytes of the text; None if it is unknown.
        written: tokens written.
        in_context: tokens in the context, which are not written.
        held: keys that the fullest layer holds: its written tokens, as far as it has room.
        room: the most keys that a layer can tell apart, the width of what it writes for.
        layers: the layers that are written.
    """

    fast_weights: int
    cache: int
    text: int | None
    written: int
    in_context: int
    held: int
    room: int
    layers: tuple[int, ...]


PLACED = Told | Loaded  # what fast weights may hold
Event = Told | Asked | Loaded | Happened


@dataclass
class Session:
    """One browser's conversation: `events` in their order, and the `chat` that they changed."""

    chat: Chat
    events: list[Event] = field(default_factory=list)

    def tell(self, lines: Iterable[str]) -> None:
        """Put lines into the context."""
        for line in lines:
            self.chat.told.append(line)
            self.events.append(Told(line))

    def ask(self, question: str, sources: Iterable[str] = SOURCES) -> Asked:
        """Answer a question from each of the sources by itself.

        Raises:
            UserError: as `Chat.ask`.
        """
        there = [source for source in sources if source in self.chat.sources]
        replies = {source: self.chat.ask(question, source) for source in there}
        answers = {s: replies[s].text if s in there else None for s in SOURCES}
        given = replies[FAST_WEIGHTS].shares if FAST_WEIGHTS in there else {}
        read, untrained = self._read_from(given), self.chat.untrained
        self.events.append(Asked(question, answers, read, untrained))
        return self.events[-1]

    def drop(self) -> None:
        """Write the text into the fast weights, drop it, and shade its words.

        Raises:
            UserError: as `Chat.drop`.
        """
        lines = iter(self.chat.drop())
        self._move({CONTEXT: FAST_WEIGHTS})
        self.events.append(Happened(DROPPED))
        self.events = [
            replace(event, written=next(lines))
            if isinstance(event, Told) and event.written is None
            else event
            for event in self.events
        ]

    def _read_from(self, shares: dict[int, Tensor]) -> tuple[ReadLine, ...]:
        """The lines that are in the fast weights, by what the tokens of their words gave."""
        lines = [e for e in self.events if isinstance(e, Told) and e.place == FAST_WEIGHTS]
        given = [[0.0] * len(line.written.words) for line in lines]
        for layer, found in shares.items():
            held = [
                (place, words)
                for place, line in enumerate(lines)
                for words in line.written.tokens[layer]
            ]
            # Tokens of a file come before these; what was summed up was the first of these.
            for (place, words), share in zip(held[::-1], found.tolist()[::-1], strict=False):
                for word in words:
                    given[place][word] += share / len(words)
        read = [
            ReadLine(
                tuple((w.text, share) for w, share in zip(line.written.words, own, strict=True)),
                sum(own),
            )
            for line, own in zip(lines, given, strict=True)
        ]
        return tuple(sorted(read, key=lambda line: -line.share)) if shares else ()

    def forget(self) -> None:
        """Put the fast weights away.

        Raises:
            UserError: as `Chat.forget`.
        """
        self.chat.forget()
        self._move({FAST_WEIGHTS: AWAY})
        self.events.append(Happened(PUT_AWAY))

    def remember(self) -> None:
        """Exchange the fast weights and those that were put away.

        Raises:
            UserError: as `Chat.remember`.
        """
        self.chat.remember()
        self._move({FAST_WEIGHTS: AWAY, AWAY: FAST_WEIGHTS})
        self.events.append(Happened(BROUGHT_BACK))

    def load(self, path: str | Path) -> None:
        """Take the fast weights of a file in place of those that answer.

        Raises:
            UserError: as `Chat.load`; the file is called by its name alone.
        """
        name = Path(path).name
        try:
            self.chat.load(path)
        except UserError as error:
            raise UserError(str(error).replace(str(path), name)) from error
        self._move({FAST_WEIGHTS: GONE})
        self.events.append(Loaded(name))

    def new(self) -> None:
        """Begin anew."""
        self.chat.new()
        self.events.clear()

    def sizes(self) -> Sizes:
        """What is kept now, and what it replaces."""
        state, fw = self.chat.state, self.chat.fw
        written = 0 if state is None else int(state.written)
        decoder = Decoder.of(fw.model.config, str(fw.model.dtype).removeprefix("torch."))
        return Sizes(
            fast_weights=0 if state is None else state.nbytes,
            cache=decoder.cache_bytes(written),
            text=self._text_bytes(),
            written=written,
            in_context=self.chat.context_tokens(),
            held=0 if state is None else max(map(_held, state.layers.values())),
            room=decoder.ff,
            layers=fw.config.layers,
        )

    def _text_bytes(self) -> int | None:
        kept = [e for e in self.events if isinstance(e, PLACED) and e.place == FAST_WEIGHTS]
        if any(isinstance(event, Loaded) for event in kept):
            return None
        return sum(len(f"{event.text}\n".encode()) for event in kept)

    def _move(self, places: dict[str, str]) -> None:
        """Change the places of all texts, all at once."""
        for place, event in enumerate(self.events):
            if isinstance(event, PLACED) and event.place in places:
                self.events[place] = replace(event, place=places[event.place])


def _held(layer: LayerState) -> int:
    """Keys that a layer holds: of a text that was summed up, as many as there is room for."""
    written = layer.written
    room = written.sizes[1]
    return room if written.folded else min(room, int(written.used().sum()))
