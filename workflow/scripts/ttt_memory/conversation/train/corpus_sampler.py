"""Random draws from the training corpus: dialogues, distractor texts and the user's own texts."""

import json
import random
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Self

from ... import io
from ...benchmark import Sample, read_benchmark, schemas
from ...benchmark.own_texts import ANY_LANGUAGE
from ...errors import UserError
from ..prompts.prompter import EncodedDialogue, Prompter
from ..schemas import BASE_TEXTS


@dataclass(frozen=True)
class Conversation:
    """A conversation among the user's own texts.

    Attributes:
        messages: its messages, as JSON.
        origin: its file and passage, for error messages.
    """

    messages: str
    origin: str


@dataclass(frozen=True)
class OwnText:
    """One of the user's own texts, to learn the next token from.

    Attributes:
        ids: token ids of the text after its opening.
        start: number of ids of the opening, which is not written.
    """

    ids: list[int]
    start: int


class Passages:
    """The passages of the corpus, by language.

    A passage is encoded when it is first drawn, since a run draws only a few of many. `chats` are
    the conversations among the user's own texts, by their index among `own`.
    """

    def __init__(
        self, by_language: dict[str, list[str]], prompter: Prompter, chats: dict[int, Conversation]
    ):
        self.by_language, self.prompter, self.chats = by_language, prompter, chats
        self._encoded: dict[str, list[int]] = {}

    def ids(self, text: str) -> list[int]:
        """Token ids of a passage."""
        if text not in self._encoded:
            (self._encoded[text],) = self.prompter.ids([text])
        return self._encoded[text]

    def distractor(self, rng: random.Random, language: str, tokens: int) -> list[int]:
        """Ids of a distractor: passages in random order, cut off after `tokens` tokens.

        The passages are the user's own texts if there are any.
        """
        passages = self.own or self.by_language[language]
        ids: list[int] = []
        while len(ids) < tokens:
            ids += self.ids(rng.choice(passages))
        return ids[:tokens]

    @property
    def own(self) -> list[str]:
        """The user's own texts, which serve dialogues of every language."""
        return self.by_language.get(ANY_LANGUAGE, [])

    def own_texts(self, rng: random.Random, count: int) -> list[OwnText]:
        """Draw `count` of the user's own texts of similar length, with replacement.

        A conversation is rendered by the chat template, if there is one. Any other text ends with
        the end token.
        """
        drawn = rng.choices(range(len(self.own)), k=4 * count)
        pool = sorted(drawn, key=lambda place: len(self.own[place]))
        first = rng.randrange(3 * count + 1)
        return [self._own_text(place) for place in pool[first : first + count]]

    def check_conversations(self) -> None:
        """Render every conversation once.

        Raises:
            UserError: the chat template refuses one; the message names its file and passage.
        """
        if self.prompter.template.from_chat:
            for chat in self.chats.values():
                self._render(chat)

    def _render(self, chat: Conversation) -> tuple[str, str]:
        try:
            return self.prompter.chat(json.loads(chat.messages))
        except UserError as error:
            raise UserError(f"{chat.origin}: {error}") from error

    def _own_text(self, place: int) -> OwnText:
        prompter = self.prompter
        if place in self.chats and prompter.template.from_chat:
            opening, rest = map(self.ids, self._render(self.chats[place]))
        else:
            opening, rest = prompter.opening, [*self.ids(self.own[place]), prompter.end]
        return OwnText([*opening, *rest], len(opening))


class CorpusSampler:
    """Draws encoded dialogues and passages from the training corpus.

    A draw depends only on the corpus, the seed and the given generator.

    Attributes:
        base_texts: ids of the texts that the untouched base wrote; empty if nothing keeps them.
    """

    def __init__(
        self,
        samples: list[Sample],
        passages: dict[str, list[str]],
        prompter: Prompter,
        seed: int,
        probes_per_dialogue: int,
        chats: dict[int, Conversation] | None = None,
        base_texts: list[list[int]] | None = None,
    ):
        self.base_texts = base_texts or []
        self.samples, self.prompter, self.seed = samples, prompter, seed
        self.probes_per_dialogue = probes_per_dialogue
        self.passages = Passages(passages, prompter, chats or {})

    @classmethod
    def load(
        cls,
        corpus: str | Path,
        passages: str | Path,
        prompter: Prompter,
        seed: int,
        probes_per_dialogue: int,
        base_texts: str | Path | None = None,
    ) -> Self:
        """A sampler of the dialogues in `corpus`, of which there may be none, and `passages`.

        Raises:
            UserError: a file is missing or has other columns.
        """
        texts = io.read_table(passages, schemas.PASSAGES)
        by_language = {name: list(group["text"]) for name, group in texts.groupby("language")}
        own = texts[texts["language"] == ANY_LANGUAGE].reset_index(drop=True)
        own = own.dropna(subset="messages")
        origins = own["topic"] + ", passage " + own["passage_id"]
        chats = {i: Conversation(own["messages"][i], origins[i]) for i in own.index}
        samples = read_benchmark(corpus, at_least=0)
        kept = list(map(list, io.read_table(base_texts, BASE_TEXTS)["ids"])) if base_texts else None
        return cls(samples, by_language, prompter, seed, probes_per_dialogue, chats, kept)

    def rng(self, *place: int) -> random.Random:
        """A generator that depends only on the seed and the given numbers, such as a step."""
        return random.Random("/".join(map(str, (self.seed, *place))))

    def sessions(self, rng: random.Random) -> int:
        """Draw a number of sessions, each as often as dialogues have it."""
        return len(rng.choice(self.samples).sessions)

    def draw(
        self,
        rng: random.Random,
        count: int,
        turns: int | None = None,
        sessions: int | None = None,
    ) -> list[EncodedDialogue]:
        """Draw `count` dialogues of similar length, with replacement, and some of their probes.

        With `turns`, each dialogue is cut to one session of that many turns, see `crop`. With
        `sessions`, only dialogues of that many sessions are drawn.
        """
        samples = self.samples
        if sessions is not None:
            samples = [sample for sample in samples if len(sample.sessions) == sessions]
        drawn = rng.choices(samples, k=4 * count)
        if turns is not None:
            drawn = [crop(sample, turns, rng) for sample in drawn]
        pool = sorted(drawn, key=lambda sample: sample.characters)
        first = rng.randrange(3 * count + 1)
        chosen = pool[first : first + count]
        most = self.probes_per_dialogue
        places = [rng.sample(range(len(s.probes)), min(most, len(s.probes))) for s in chosen]
        return self.prompter.encode(chosen, places)


def crop(sample: Sample, turns: int, rng: random.Random) -> Sample:
    """Cut a dialogue to at most `turns` consecutive turns around a fact that a probe asks for.

    The probes whose facts are all in those turns remain, and those that nothing answers. Of several
    sessions, the one with the fact remains. If no probe asks for a fact whose place is known, the
    whole dialogue remains, as one session.
    """
    facts = {fact.fact_id: fact for fact in sample.facts if fact.start >= 0}
    answerable = [
        probe
        for probe in sample.probes
        if probe.answerable and facts.keys() >= set(probe.required_facts)
    ]
    if not answerable:
        return replace(sample, sessions=("".join(sample.sessions),))
    direct = [probe for probe in answerable if len(probe.required_facts) == 1]
    asked = facts[rng.choice(direct or answerable).required_facts[0]]
    lines = sample.sessions[asked.session].splitlines(keepends=True)
    if len(sample.sessions) == 1 and len(lines) <= turns:
        return sample
    turns = min(turns, len(lines))
    ends = list(accumulate(map(len, lines)))
    place = bisect_right(ends, asked.start)
    # The turn before the fact is kept where possible: it may hold the question that asks for it.
    first = min(max(0, place - rng.randint(min(1, turns - 1), turns - 1)), len(lines) - turns)
    low, high = ends[first] - len(lines[first]), ends[first + turns - 1]
    kept = {
        name
        for name, fact in facts.items()
        if fact.session == asked.session and low <= fact.start and fact.end <= high
    }
    probes = tuple(probe for probe in sample.probes if kept.issuperset(probe.required_facts))
    session = "".join(lines[first : first + turns])
    return replace(sample, sessions=(session,), probes=probes or sample.probes[:1])
