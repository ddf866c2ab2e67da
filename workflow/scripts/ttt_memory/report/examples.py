"""Dialogues of a run for people to read: which six, and what the page shows of each.

A fixed rule chooses them, so that nobody can pick the ones that look good.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..vocabulary import ALTERNATIVES, CONDITIONS, LEVELS, NOT_IN_EXAMPLES
from .results import Results

ORDER = [*CONDITIONS, *ALTERNATIVES]  # of the columns
SHADES = 10  # steps of the shading, from a closed gate to an open one
_PIECE = re.compile(r"[\w'’.-]+|.", re.ASCII | re.DOTALL)  # a word, or one sign or space


@dataclass(frozen=True)
class Answer:
    """What a run said under a condition, and whether that is right, or a refusal."""

    text: str
    right: bool
    refused: bool


@dataclass(frozen=True)
class Example:
    """A dialogue and its probes.

    Attributes:
        run, title, note: whose it is, which dialogue, and how B did on it.
        sessions: the texts, each as pieces with their shade, from 0 to `SHADES`.
        distractor: number of characters of the distractor that follows; 0 for none.
        columns: the conditions, with the setting if they have one.
        probes: question, gold answer, and the answer of each column, None where it was not asked.
    """

    run: str
    title: str
    note: str
    sessions: tuple[tuple[tuple[str, int], ...], ...]
    distractor: int
    columns: tuple[str, ...]
    probes: tuple[tuple[str, str, tuple[Answer | None, ...]], ...]


def examples(results: Results) -> list[Example]:
    """Up to six dialogues of each run that was asked from its fast weights."""
    samples = results.benchmark.set_index("sample_id")
    found = []
    for run in results.runs:
        scored = results.scored[results.scored["run"] == run]
        asked = pd.concat([_of_conditions(scored), _of_alternatives(scored)])
        asked = asked[asked["seed"] == asked["seed"].min()]
        for column, value in results.headline(run).items():
            asked = asked[asked[column] == value]
        for sample_id in chosen(asked[asked["condition"] == "B"]):
            rows = asked[asked["sample_id"] == sample_id]
            found.append(_example(results, run, samples.loc[sample_id], rows))
    return found


def _of_conditions(scored: pd.DataFrame) -> pd.DataFrame:
    shown = [name for name in CONDITIONS if name not in NOT_IN_EXAMPLES]
    return scored[scored["condition"].isin(shown)]


def _of_alternatives(scored: pd.DataFrame) -> pd.DataFrame:
    """Each alternative at the middle one of its settings, asked right after the dialogue."""
    rows = scored[scored["condition"].isin(ALTERNATIVES) & (scored["distance"] == 0)]
    settings = rows.groupby("condition")["setting"].unique().map(sorted)
    middle = rows["condition"].map(settings.map(lambda asked: asked[len(asked) // 2]))
    return rows[rows["setting"] == middle]


def chosen(of_b: pd.DataFrame) -> list[str]:
    """Two dialogues with the fewest wrong answers of B, two in the middle, two with the most.

    Dialogues with equally many are in the order of a digest of their names, which mixes levels.
    `of_b` are scored rows of condition B and one seed.
    """
    if of_b.empty:
        return []
    wrong = (1 - of_b["em"]).groupby(of_b["sample_id"]).sum()
    order = sorted(wrong.index, key=lambda name: (wrong[name], _digest(name)))
    middle, count = len(order) // 2, len(order)
    places = {0, 1, middle - 1, middle, count - 2, count - 1}
    return [order[place] for place in sorted(places) if 0 <= place < count]


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=8).digest()


def _example(results: Results, run: str, sample: pd.Series, rows: pd.DataFrame) -> Example:
    of_b = rows[rows["condition"] == "B"]
    gates = results.gates
    gates = gates[(gates["run"] == run) & (gates["sample_id"] == sample.name)]
    gates = gates[gates["seed"] == gates["seed"].min()]
    columns = sorted(
        set(zip(rows["condition"], rows["setting"].fillna(-1), strict=True)),
        key=lambda column: ORDER.index(column[0]),
    )
    answers = answers_of(rows)
    level = str(sample["level"])
    variant = f" ({sample['variant']})" if sample["variant"] else ""
    return Example(
        run=results.label(run),
        title=f"{sample.name}: level {level}, {LEVELS.get(level, 'imported')}{variant}",
        note=f"B: {int(of_b['em'].sum())} of {len(of_b)} right",
        sessions=tuple(
            tuple(shaded(text, gates[gates["session"] == number]))
            for number, text in enumerate(sample["sessions"])
        ),
        distractor=0 if pd.isna(sample["distractor"]) else len(sample["distractor"]),
        columns=tuple(name if setting < 0 else f"{name} {setting:g}" for name, setting in columns),
        probes=tuple(
            (
                probe["question"],
                probe["gold"],
                tuple(answers.get((name, probe["probe_id"])) for name, _ in columns),
            )
            for probe in sample["probes"]
        ),
    )


def answers_of(rows: pd.DataFrame) -> dict[tuple[str, str], Answer]:
    """The answers in scored rows of one dialogue, seed and setting, by condition and probe."""
    return {
        (row.condition, row.probe_id): Answer(row.answer, row.em == 1, row.refused == 1)
        for row in rows.itertuples()
    }


def shaded(text: str, gates: pd.DataFrame) -> Iterator[tuple[str, int]]:
    """The words and signs of `text` with the mean gate of their characters, as a shade.

    Neighbours of the same shade are one piece. Characters of no token are not shaded.
    """
    gate = np.zeros(len(text))
    for start, end, value in zip(gates["start"], gates["end"], gates["gate"], strict=True):
        gate[max(start, 0) : end] = value
    piece, shade = "", 0
    for match in _PIECE.finditer(text):
        level = round(SHADES * gate[match.start() : match.end()].mean())
        if level != shade and piece:
            yield piece, shade
            piece = ""
        piece, shade = piece + match[0], level
    yield piece, shade
