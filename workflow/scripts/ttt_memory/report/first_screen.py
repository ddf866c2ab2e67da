"""What the report opens with: the answer, a figure of it, and a dialogue with all its answers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from ..vocabulary import CONDITIONS, SAME_TEXT
from . import verdicts
from .config import FIGURES
from .examples import Answer, answers_of
from .results import Results
from .tables import em
from .tables.table import Table

FIGURE = "em_by_split"
LANGUAGE = "en"  # of the page: the dialogue is in it if the benchmark has such dialogues
LONG, AROUND = 1200, 300  # characters of a text that is shown whole; around what is marked
GAP = " […] "


@dataclass(frozen=True)
class Dialogue:
    """A dialogue, one question about it, and what the run answered.

    Attributes:
        name, language: which dialogue.
        pieces: the text, and whether a piece holds what is asked for.
        question, gold: the first probe.
        answers: the letter of each condition, its label, and the answer.
        others: question, gold and answers of the other probes, which a click opens.
    """

    name: str
    language: str
    pieces: tuple[tuple[str, bool], ...]
    question: str
    gold: str
    answers: tuple[tuple[str, str, Answer], ...]
    others: tuple[tuple[str, str, tuple[Answer | None, ...]], ...]


@dataclass(frozen=True)
class FirstScreen:
    """The first screen.

    Attributes:
        answer: the answer to the question of the report, in Markdown.
        notes: what it leaves open.
        caption, table: of the figure and its numbers, if there are any.
        dialogue: a dialogue to read, if answers were given.
    """

    answer: str
    notes: tuple[str, ...] = ()
    caption: str = ""
    table: Table | None = None
    dialogue: Dialogue | None = None


def first_screen(results: Results) -> FirstScreen:
    """What the report on `results` opens with."""
    run, answer = results.main_run(), verdicts.answer(results)
    if run is None:
        return FirstScreen(answer)
    row = results.efficiency(run)
    notes = () if pd.isna(row["value"]) else tuple(verdicts.caveats(results, run))
    caption = f"{FIGURES[FIGURE]}: EM with 95% intervals, levels 1 and 2."
    if results.headline(run):
        caption += " The verdict is of the shaded rows."
    table = em.main_run_by_split(results)
    return FirstScreen(answer, notes, caption, table, _dialogue(results, run))


def _dialogue(results: Results, run: str) -> Dialogue | None:
    """The first dialogue that the verdict is of, and every condition's answers about it.

    The order of the benchmark decides, and of the probes the first is shown, so nobody can pick one
    that looks good. Dialogues in the language of the page come before others.
    """
    asked = results.scored
    asked = asked[(asked["run"] == run) & asked["condition"].isin(CONDITIONS)]
    asked = asked[asked["seed"] == asked["seed"].min()]
    of_b = asked[(asked["condition"] == "B") & asked["level"].isin(SAME_TEXT)]
    for column, value in results.headline(run).items():
        of_b = of_b[of_b[column] == value]
    samples = results.benchmark[results.benchmark["sample_id"].isin(of_b["sample_id"])]
    if samples.empty:
        return None
    foreign = samples["language"] != LANGUAGE
    sample = samples.loc[foreign.sort_values(kind="stable").index[0]]
    answers = answers_of(asked[asked["sample_id"] == sample["sample_id"]])
    letters = [name for name in CONDITIONS if any(key[0] == name for key in answers)]
    first, *others = sample["probes"]
    return Dialogue(
        name=sample["sample_id"],
        language=sample["language"],
        pieces=tuple(shown("\n\n".join(sample["sessions"]), _places(sample, first))),
        question=first["question"],
        gold=first["gold"],
        answers=tuple(
            (name, CONDITIONS[name].label, answers[name, first["probe_id"]])
            for name in letters
            if (name, first["probe_id"]) in answers
        ),
        others=tuple(
            (
                probe["question"],
                probe["gold"],
                tuple(answers.get((name, probe["probe_id"])) for name in letters),
            )
            for probe in others
        ),
    )


def _places(sample: pd.Series, probe: dict) -> list[tuple[int, int]]:
    """Where the values that a probe asks for stand in the sessions with an empty line between."""
    starts, place = [], 0
    for session in sample["sessions"]:
        starts.append(place)
        place += len(session) + 2
    return sorted(
        (starts[fact["session"]] + fact["start"], starts[fact["session"]] + fact["end"])
        for fact in sample["facts"]
        if fact["fact_id"] in probe["required_facts"] and fact["start"] >= 0
    )


def shown(text: str, places: list[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """The text in pieces, of which those at `places` are marked.

    Of a long text only what stands around the places is shown, or its beginning if there are none.
    """
    done = 0
    for start, end in _windows(text, places):
        if start > done:
            yield GAP, False
        done = max(done, start)
        for first, last in places:
            if done <= first and last <= end:
                yield text[done:first], False
                yield text[first:last], True
                done = last
        yield text[done:end], False
        done = end
    if done < len(text):
        yield GAP, False


def _windows(text: str, places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of a text that are shown, none of which touches another."""
    if len(text) <= LONG:
        return [(0, len(text))]
    found: list[tuple[int, int]] = []
    for first, last in places or [(0, AROUND)]:
        start, end = _space(text, first - AROUND), _space(text, last + AROUND)
        if found and start <= found[-1][1]:
            start, end = found[-1][0], max(end, found.pop()[1])
        found.append((start, end))
    return found


def _space(text: str, place: int) -> int:
    """The next place with a space from `place` on, if one is near; within the text."""
    found = re.compile(r"\s").search(text, place, place + 30) if place > 0 else None
    return found.start() if found else min(max(place, 0), len(text))
