"""The report opens with an answer, its figure and a dialogue that nobody chose."""

import html
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

import scored_runs
from report_inputs import SCORING, results
from ttt_memory import io
from ttt_memory.benchmark import schemas as benchmark_schemas
from ttt_memory.benchmark.sample import IMPORTED, Sample
from ttt_memory.report.config import ReportConfig, RunText
from ttt_memory.report.figures.alternative import described
from ttt_memory.report.first_screen import AROUND, GAP, LONG, FirstScreen, first_screen, shown
from ttt_memory.report.page import quoted
from ttt_memory.report.results import load
from ttt_memory.report.tables.table import estimate
from ttt_memory.scoring import schemas as scoring_schemas
from ttt_memory.scoring.metrics import metrics_table
from ttt_memory.scoring.predictions import read_predictions
from ttt_memory.scoring.probe_scores import score
from ttt_memory.vocabulary import HEADLINE_SPLIT, SPLITS

RUN = "write-drop-read"


def opening(folder: Path, chances: dict[str, float], asked: list[Sample]) -> FirstScreen:
    """The first screen of a run that answers right with these chances under its conditions."""
    rows = []
    for condition, chance in chances.items():
        rows += scored_runs.predictions(asked, RUN, 0, condition, chance)
    given = scored_runs.write(folder / "predictions.parquet", rows)
    scored = score(asked, read_predictions([str(given)]))
    metrics = metrics_table(scored, SCORING.model_copy(update={"bootstrap": 20, "permutations": 9}))
    for name, table, schema in (
        ("metrics", metrics, scoring_schemas.METRICS),
        ("scored", scored, scoring_schemas.SCORED),
        ("benchmark", [one.row() for one in asked], benchmark_schemas.BENCHMARK),
    ):
        io.write_table(folder / f"{name}.parquet", table, schema, {})
    files = {name: [folder / f"{name}.parquet"] for name in ("metrics", "scored")}
    return first_screen(
        load(
            folder / "benchmark.parquet",
            files["metrics"],
            [],
            [],
            [],
            files["scored"],
            [],
            {RUN: RunText(label="the run")},
            ReportConfig(),
            SCORING,
        )
    )


def samples(split: str | None = None) -> list[Sample]:
    """Dialogues of level 1 in every split, or all of one that is not of ours."""
    made = [one for one in scored_runs.samples(10) if one.level == 1]
    return [replace(one, split=split) for one in made] if split else made


def test_the_answer_is_one_sentence_with_its_interval_and_n(full, inputs):
    row = results(inputs, [RUN]).one("memory_efficiency", run=RUN, split=HEADLINE_SPLIT)
    paragraphs = (full / "RESULTS.md").read_text(encoding="utf-8").split("\n\n")
    assert paragraphs[2].startswith("**Yes.** From its fast weights alone, write-drop-read <joint>")
    assert f"of {row['n']} questions right" in paragraphs[2]
    assert f"keeps {estimate(row)} of what the context gives ({row['dialogues']}" in paragraphs[2]
    assert "dialogues that are all new to it; 2 seeds of training)" in paragraphs[2]
    assert len(re.findall(r"\.(?:\s|$)", paragraphs[2].removeprefix("**Yes.**"))) == 1


@pytest.mark.parametrize(
    ("chances", "split", "said"),
    [
        (
            {"A": 1.0, "B": 0.0, "C": 0.0},
            None,
            "**No.** From its fast weights alone, the run answers 0.0%",
        ),
        (
            {"A": 0.0, "B": 0.5, "C": 0.0},
            None,
            "**It cannot be said.** With the dialogue in context, the",
        ),
        ({"A": 1.0, "C": 0.0}, None, "**Not measured.** No run was asked both"),
        (
            {"A": 1.0, "B": 1.0},
            IMPORTED,
            "**Yes.** From its fast weights alone, the run answers 100.0%",
        ),
    ],
    ids=["negative", "no context", "not asked", "no split"],
)
def test_what_the_answer_is(tmp_path, chances, split, said):
    found = opening(tmp_path, chances, samples(split))
    assert found.answer.startswith(said)
    where = "60 questions right, and 100.0% with the dialogue in context, so it keeps 1.000 [1.000,"
    assert (where in found.answer) == (split == IMPORTED)
    unknown = "10 dialogues: the benchmark does not say which of them are all new to it; 1 seed of"
    assert (unknown in found.answer) == (split == IMPORTED)
    known = split is None and "B" in chances
    assert ("(2 dialogues that are all new to it; 1 seed of training)" in found.answer) == known
    assert ("12 questions" in found.answer) == known
    nothing = "Nothing shows that the fast weights answer more than no memory does"
    assert any(note.startswith(nothing) for note in found.notes) == said.startswith("**No.")
    assert (found.table is None) == ("B" not in chances)
    if found.table is not None:
        names = found.table.shown["new to the model"].tolist()
        assert names == (["all probes"] if split else [SPLITS[HEADLINE_SPLIT], *names[1:]])
        assert len(names) == (1 if split else len(SPLITS))


def test_the_dialogue_is_the_first_in_english_whatever_its_answers(tmp_path):
    """Dialogues 4 and 9 are all new; 4 is in Chinese."""
    for place, chance in enumerate((0.0, 1.0)):
        folder = tmp_path / str(place)
        found = opening(folder, {"A": 1.0, "B": chance, "C": 0.0}, samples()).dialogue
        assert found.name == "L1-0009"
        (right,) = {answer.right for name, _, answer in found.answers if name == "B"}
        assert right == bool(chance)
    assert [name for name, *_ in found.answers] == ["A", "B", "C"]
    assert [text for text, asked in found.pieces if asked] == [found.gold]
    assert len(found.others) == 5
    chinese = [replace(one, language="zh") for one in samples()]
    assert opening(tmp_path / "zh", {"A": 1.0, "B": 1.0}, chinese).dialogue.name == "L1-0004"


def test_of_a_long_text_what_is_asked_for_is_shown():
    text = "".join(f"line {n}\n" for n in range(1000))
    places = [(4000, 4004), (4000 + AROUND, 4010 + AROUND), (7000, 7007)]
    pieces = list(shown(text, places))
    assert [piece for piece, asked in pieces if asked] == [text[a:b] for a, b in places]
    assert [piece for piece, _ in pieces].count(GAP) == 3  # the first two are near each other
    kept = [part for piece, _ in pieces for part in [piece] if piece != GAP]
    assert len("".join(kept)) < 5 * (AROUND + 30)
    assert all(part in text for part in kept)
    start = "".join(piece for piece, _ in shown(text, []))
    assert start.endswith(GAP)
    assert text.startswith(start.removesuffix(GAP))
    assert len(start) < LONG
    assert "".join(piece for piece, _ in shown(text[:LONG], [(3, 5)])) == text[:LONG]


def test_a_quotation_in_markdown_is_the_text_itself():
    text = "Ann: *x* | <b>y</b> & `z`\n- no list\n2. nor this\n# nor a title\n[a](b) ~c~ \\ {d}"
    page = MarkdownIt("commonmark").enable("table").render(f"> {quoted(text)}")
    words = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert [line.strip() for line in words.strip().splitlines()] == text.splitlines()
    assert set(re.findall(r"<(\w+)", page)) == {"blockquote", "p", "br"}


def test_a_figure_is_told_in_words(full, inputs):
    figure = Figure()
    axes = figure.subplots(1, 2)
    for place, one in enumerate(axes):
        one.plot([0, 1], [0, place], label=f"line {place}")
        one.set_title(f"run {place}\n2 seeds", loc="left")
        one.set_xlabel("tokens")
    axes[0].set_ylabel("EM")
    figure.legend()
    assert described(figure, "Title") == (
        "Title. Panels: run 0 2 seeds; run 1 2 seeds. From left to right: tokens."
        " From bottom to top: EM. Legend: line 0; line 1."
    )
    page = (full / "index.html").read_text(encoding="utf-8")
    (first, *others) = (html.unescape(text) for text in re.findall(r'alt="([^"]*)"', page))
    rows = results(inputs, [RUN]).by_split(RUN)
    values = ", ".join(f"{c} {rows['all new'][c]['value']:.2f}" for c in "ABCW")
    assert f"Values: all new, {values}; nothing new" in first
    assert all(len(text) > 60 for text in others)


def test_the_numbers_of_the_figure_are_a_table(full):
    table = pd.read_csv(full / "tables" / "em_by_split.csv")
    assert set(table["condition"]) == {*"ABCW"}
    assert set(table["split"]) == {*SPLITS}
    assert set(table["run"]) == {RUN}


def test_the_landing_page_is_a_part_of_a_page(full):
    text = (full / "landing.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<body" not in text
    assert text.count("data:image/svg+xml;base64,") == 1
    assert "write-drop-read &lt;joint&gt; answers" in text
