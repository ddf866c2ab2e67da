"""What every importer of conversations shares: from sessions and questions to samples."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ..sample import IMPORTED, REFUSALS, UNANSWERABLE, Fact, Language, Probe, Sample
from .sessions import Session, Span, language_of, place_of

ANY_KIND = "question"  # the kind of a question whose file does not say what it is about
Granularity = Literal["evidence_session", "before_evidence", "everything"]


@dataclass(frozen=True)
class Question:
    """A question of a file.

    Attributes:
        name: its id in its sample.
        text: the question.
        answers: right answers, the gold first; none if nothing answers it.
        about: what it is about; it becomes the kind of the probe.
        evidence: the parts of the sessions that answer it; None if the file does not say.
        sessions: the numbers of the sessions that answer it.
        accepted: more right answers, also to a question that nothing answers.
        rival: a wrong answer that is counted by itself.
    """

    name: str
    text: str
    answers: tuple[str, ...]
    about: str = ANY_KIND
    evidence: tuple[Span, ...] | None = None
    sessions: tuple[int, ...] = ()
    accepted: tuple[str, ...] = ()
    rival: str | None = None


@dataclass
class Builder:
    """Makes samples, and counts what importers mend or leave out.

    Attributes:
        granularity: which sessions of a long conversation a question is asked about.
        verbatim: only questions are kept whose answer stands in the sessions, at a place that
            is known.
        characters: the largest length of a sample's sessions; None for no limit.
        samples: the samples made so far.
        counts: how often something was mended or left out, by what it was.
    """

    granularity: Granularity = "evidence_session"
    verbatim: bool = False
    characters: int | None = None
    samples: list[Sample] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add_long(
        self,
        conversation: str,
        sessions: Sequence[Session],
        names: Sequence[str],
        questions: Iterable[Question],
    ) -> None:
        """Add the samples of a conversation whose questions are about some of its sessions.

        There is a sample for each set of sessions that the granularity gives to a question.
        `names` are those of the sessions.
        """
        asked: dict[tuple[int, ...], list[Question]] = defaultdict(list)
        for question in questions:
            chosen = self._chosen(question, len(sessions))
            if chosen:
                asked[chosen].append(question)
            else:
                self.counts["questions left out: no evidence that exists"] += 1
        for chosen, group in sorted(asked.items()):
            gaps = chosen != tuple(range(chosen[0], chosen[-1] + 1)) or len(chosen) < 3
            label = "+".join(names[i] for i in chosen)
            label = label if gaps else f"{names[chosen[0]]}-{names[chosen[-1]]}"
            texts = [sessions[i].text for i in chosen]
            moved = [_counted_within(question, chosen) for question in group]
            self.add(f"{conversation}/{label}", conversation, texts, moved)

    def _chosen(self, question: Question, count: int) -> tuple[int, ...]:
        """The sessions that a question is asked about; none if they are not known."""
        if self.granularity == "evidence_session":
            return tuple(sorted(set(question.sessions)))
        if self.granularity == "before_evidence" and question.sessions:
            return tuple(range(max(question.sessions) + 1))
        return tuple(range(count))

    def add(
        self,
        sample_id: str,
        conversation: str,
        sessions: Sequence[str],
        questions: Iterable[Question],
    ) -> None:
        """Add a sample: `sessions` and the `questions` about them, of the named conversation.

        Nothing is added if no question is kept, or the sessions are too long.
        """
        language = language_of(sessions)
        facts: list[Fact] = []
        probes: dict[str, Probe] = {}
        for question in questions:
            fact = _fact(question, sessions)
            if question.text in probes:
                self.counts["questions left out: asked before in the same sample"] += 1
            elif self.verbatim and (fact is None or fact.start < 0):
                self.counts["questions left out: answer not verbatim at one known place"] += 1
            else:
                probes[question.text] = _probe(question, fact, language)
                facts += [fact] if fact else []
        if self.characters is not None and sum(map(len, sessions)) > self.characters:
            self.counts["samples left out: too long"] += 1
        elif probes:
            self.samples.append(
                Sample(
                    sample_id=sample_id,
                    level=1,
                    language=language,
                    split=IMPORTED,
                    skeleton_id=f"{IMPORTED}/{conversation}",
                    sessions=tuple(sessions),
                    distractor=None,
                    facts=tuple(facts),
                    probes=tuple(probes.values()),
                )
            )


def _counted_within(question: Question, chosen: tuple[int, ...]) -> Question:
    """`question` with its evidence counted within the `chosen` sessions."""
    if question.evidence is None:
        return question
    place = {session: index for index, session in enumerate(chosen)}
    moved = tuple(replace(part, session=place[part.session]) for part in question.evidence)
    return replace(question, evidence=moved)


def _probe(question: Question, fact: Fact | None, language: Language) -> Probe:
    gold, *others = question.answers or (REFUSALS[language],)
    return Probe(
        probe_id=question.name,
        question=question.text,
        gold=gold,
        kind=question.about if fact else UNANSWERABLE,
        required_facts=(fact.fact_id,) if fact else (),
        grounding="unknown",
        accepted=(*others, *question.accepted),
        rival=question.rival,
    )


def _fact(question: Question, sessions: Sequence[str]) -> Fact | None:
    """What answers the question; its value is the first answer as it stands in a session."""
    if not question.answers:
        return None
    answer, evidence = question.answers[0], question.evidence
    place = place_of(answer, sessions, evidence)
    part = next(iter(evidence or ()), place)
    return Fact(
        fact_id=f"F-{question.name}",
        text=sessions[part.session][part.start : part.end] if part else answer,
        category=question.about,
        slot=question.about,
        value=sessions[place.session][place.start : place.end] if place else answer,
        start=place.start if place else -1,
        end=place.end if place else -1,
        session=part.session if part else 0,
    )
