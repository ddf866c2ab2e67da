"""The report is built by its script from files that scoring wrote, and says what it rests on."""

import csv
import re
import shutil
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest

import scored_runs
from clone import ROOT
from report_inputs import RUNS, SAMPLES, SCORING, results, run_script, section
from ttt_memory import io
from ttt_memory.errors import UserError
from ttt_memory.report.build import DRAWERS, lay_out
from ttt_memory.report.config import FIGURES
from ttt_memory.report.equal_bytes import Comparison, points
from ttt_memory.report.examples import chosen, shaded
from ttt_memory.report.figures import style
from ttt_memory.report.summaries import over_seeds
from ttt_memory.report.tables import levels, runs
from ttt_memory.report.tables.table import estimate
from ttt_memory.scoring import schemas as scoring_schemas
from ttt_memory.scoring.score_files import score_files
from ttt_memory.scoring.verdict import verdict
from ttt_memory.vocabulary import HEADLINE_SPLIT, LEVELS, WHOLE

CAPTIONS = ROOT / "workflow" / "report"


class Page(HTMLParser):
    """Tags in the order they open, those left open at the end, all text, and what is fetched."""

    def __init__(self, path: Path):
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.ids: list[str] = []
        self.words = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset", "action", "data"):
                self.fetched.append(value)
            if name == "id":
                self.ids.append(value)
        assert tag not in ("script", "link", "iframe")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_the_page_is_well_formed_and_needs_no_other_file(full):
    page = Page(full / "index.html")
    assert page.open == []
    inside = {f"#{name}" for name in page.ids}
    assert all(
        link.startswith("data:image/svg+xml;base64,") or link in inside for link in page.fetched
    )
    assert sum(link.startswith("data:") for link in page.fetched) == len(FIGURES)
    style = re.search(r"<style>(.*?)</style>", (full / "index.html").read_text(), re.S).group(1)
    assert "url(" not in style
    assert "@import" not in style


def test_every_figure_is_written_in_both_forms(full, bare):
    for folder in (full, bare):
        for name in FIGURES:
            assert (folder / "figures" / f"{name}.svg").read_text().lstrip().startswith("<?xml")
            assert (folder / "figures" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_every_figure_has_a_drawer_and_a_caption():
    assert set(DRAWERS) == set(FIGURES)
    assert {path.stem for path in CAPTIONS.glob("*.rst")} >= set(FIGURES)


def test_the_headline_quotes_the_metrics(full, inputs):
    found = results(inputs, ["write-drop-read"])
    fixed = {"run": "write-drop-read", "split": HEADLINE_SPLIT}
    row = found.one("memory_efficiency", **fixed)
    text = (full / "RESULTS.md").read_text(encoding="utf-8")
    first = f"**write-drop-read <joint>: viable.** Memory efficiency {estimate(row)} on all new, "
    assert f"{first}{row['n']} probes of {row['dialogues']} dialogues" in text
    beside = found.one("memory_efficiency", run="write-drop-read", split="new_values")
    assert f"new values {estimate(beside)}" in section(full, "Verdict")
    assert found.verdict("write-drop-read") == verdict(row.value, SCORING)
    assert "2 seeds: EM(A)" in text
    assert "**B-mini | frozen: not viable.** Memory efficiency 0.000 [0.000, 0.000]" in text
    assert "**imported (imported): partial.**" in text
    assert "**no gate: " not in text  # it changes one thing of another run: see its own table
    page = Page(full / "index.html").words
    assert f"write-drop-read <joint>: viable. Memory efficiency {estimate(row)}" in " ".join(
        page.split()
    )


def test_markdown_tables_have_as_many_cells_as_columns(full):
    blocks = re.findall(r"(?:^\|.*\n)+", (full / "RESULTS.md").read_text(encoding="utf-8"), re.M)
    assert len(blocks) > 10
    for block in blocks:
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(cells) == 1, block


def test_numbers_behind_a_table_are_those_of_the_metrics(full, inputs):
    metrics = io.read_table(inputs / "metrics" / "write-drop-read.parquet", scoring_schemas.METRICS)
    with (full / "tables" / "conditions_em.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["run"] == "write-drop-read"]
    assert {row["condition"] for row in rows} == {*"ABCDWN", "all"}
    assert {row["split"] for row in rows} == {HEADLINE_SPLIT}
    assert {row["metric"] for row in rows} == {"em", "refused", "em_floor", "em_floor_others"}
    for row in rows:
        same = metrics[
            (metrics["metric"] == row["metric"])
            & (metrics["condition"] == row["condition"])
            & metrics["setting"].isna()
            & (metrics[["level", "category", "position", "probe_order", "language"]] == "all").all(
                axis=1
            )
            & (metrics["split"] == HEADLINE_SPLIT)
            & (metrics[["grounding", "kind", "composition", "variant", "seed"]] == "all").all(
                axis=1
            )
        ]
        assert len(same) == 1
        assert float(row["value"]) == pytest.approx(same["value"].iloc[0])


def test_what_was_not_run_is_said_to_be(bare):
    for title in (
        "Retention",
        "Capacity",
        "Scale of the write",
        "Training",
        "Write gates and surprise",
        "Forecast study",
    ):
        text = section(bare, title)
        assert text.strip().startswith("Not run:"), title
        assert "|" not in text
        assert "![" not in text
    assert section(bare, "What makes the difference").strip().startswith("Not run:")
    assert sum(link.startswith("data:") for link in Page(bare / "index.html").fetched) == 6


def test_what_was_run_is_shown(full):
    for title, name in [
        ("Retention", "retention"),
        ("Capacity", "capacity"),
        ("Scale of the write", "scale"),
        ("Training", "training_loss"),
        ("Write gates and surprise", "gates"),
        ("Size of the fast weights", "norms"),
        ("What makes the difference", "attribution"),
        ("What is new", "splits"),
    ]:
        text = section(full, title)
        assert f"(figures/{name}.svg)" in text
        assert "Not run" not in text
    assert "write gate off" in section(full, "What makes the difference")
    gates = section(full, "Write gates and surprise")
    assert "1.50 nats on facts, 3.50 on distractor text" in gates
    assert "would write more of the distractor text" in gates


def test_fast_weights_win_where_a_cut_cache_of_no_more_bytes_is_worse(full, inputs):
    text = section(full, "At equal bytes")
    assert text.index("(figures/em_by_bytes.svg)") < text.index("(figures/em_by_flops.svg)")
    near, far = text.split("**Right after the dialogue**")[1].split("**After 4,000 tokens")
    assert "they show no clear difference at 250 B" in near
    assert "they win at 250 B, 600 B" in far
    assert "The text itself takes 50 B" in far
    assert "In bytes they lose to it." in far
    assert "takes 5.0 times the FLOPs" in far
    found = points(results(inputs, ["write-drop-read"]), "write-drop-read")
    whole, again = (found[found["method"] == name] for name in ("A", "T"))
    assert whole["value"].tolist() == again["value"].tolist()
    assert set(again["state_bytes"]) == {50.0}
    assert set(again["answer_flops"]) == {5.0}
    assert len(pd.read_csv(full / "tables" / "equal_bytes.csv")) == 2 * (2 + 2 + 1 + 1)


def test_a_context_that_does_not_fit_the_model_is_told(inputs, tmp_path):
    shutil.copytree(inputs, tmp_path / "in")
    level_1 = [one for one in SAMPLES if one.level == 1]
    rows = scored_runs.alternatives(level_1, "write-drop-read", 0, 0.9)
    far = dict.fromkeys(("state_bytes", "text_bytes", "kv_bytes"), 100.0) | {"distance": 16000}
    rows += scored_runs.predictions(level_1, "write-drop-read", 0, "B_bytes", 0.9, WHOLE, **far)
    long = scored_runs.predictions(level_1, "write-drop-read", 0, "K", 0.0, distance=16000)
    rows += [row | {"prediction": "", "too_long": 16300} for row in long]
    given = str(scored_runs.write(tmp_path / "given.parquet", rows))
    folder = tmp_path / "in" / "metrics"
    score_files(inputs / "benchmark.parquet", [given], None, SCORING, folder, lambda *_, **__: {})
    done = run_script(tmp_path / "in", tmp_path / "out", metrics=["metrics"], runs=[])
    assert done.returncode == 0, done.stderr
    text = " ".join(section(tmp_path / "out", "At equal bytes").split())
    assert "the whole text, 16,300 tokens with a question, does not fit the positions" in text
    page = " ".join((tmp_path / "out" / "index.html").read_text(encoding="utf-8").split())
    assert "not asked: 16,300 tokens do not fit the model" in page


@pytest.mark.parametrize(
    ("memory", "cache", "outcome"),
    [
        ((0.9, 0.8, 1.0), (0.5, 0.4, 0.6), "win"),
        ((0.5, 0.4, 0.6), (0.9, 0.8, 1.0), "lose"),
        ((0.6, 0.5, 0.7), (0.65, 0.5, 0.8), "tie"),
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "tie"),
    ],
)
def test_a_difference_within_an_interval_is_no_win(memory, cache, outcome):
    rows = [pd.Series(dict(zip(("value", "low", "high"), r, strict=True))) for r in (memory, cache)]
    assert Comparison(*rows).outcome == outcome
    assert Comparison(rows[0], None).outcome == "win"


def test_every_level_and_split_has_a_line(inputs):
    found = results(inputs, ["write-drop-read"])
    shown = levels.levels(found, ["write-drop-read"]).shown
    assert len(shown) == 6 * 5 + 2 * 2 * 5  # levels 4 and 5 have two variants each
    assert shown["split"][0] == "all new"
    distractor = shown[shown["level"] == "3 distractor after the dialogue"].iloc[0]
    fixed = {"run": "write-drop-read", "level": "3", "split": HEADLINE_SPLIT}
    row = found.one("memory_efficiency", **fixed)
    ems = [found.one("em", condition=name, **fixed).value for name in "DA"]
    assert row.value == pytest.approx(ems[0] / ems[1])
    assert distractor["EM(B or D)/EM(A)"] == estimate(row)


def test_rivals_and_refusals_are_shown(inputs):
    found = results(inputs, ["write-drop-read"])
    updates = levels.outcomes(found, "4").shown
    assert set(updates["variant"]) == {"all", "same dialogue", "next session"}
    row = found.one("old", run="write-drop-read", condition="B", level="4", split=HEADLINE_SPLIT)
    assert updates[updates["condition"] == "B"]["old"].iloc[0] == estimate(row)
    refusals = levels.refusals(found).shown
    assert refusals["condition"].tolist() == ["A", "B", "C", "W"]
    assert refusals["which is"].tolist() == ["false"] * 2 + ["right: it was not told"] * 2


def test_forecasts_are_compared_and_it_is_said_whether_memory_helps(full):
    text = section(full, "Forecast study")
    for place in ("one step ahead", "24 steps ahead"):
        assert f"**waves, {place}.** Lowest error: mesa, test MSE " in text
    assert (
        "12 series, 3 seeds. Better than the same model without memory: mesa, titans_default."
        in text
    )
    assert "No gain (the interval includes zero): delta." in text
    for name in FIGURES:
        assert (f"(figures/{name}.svg)" in text) == name.startswith("forecast_")
    rows = pd.read_csv(full / "tables" / "forecast_waves.csv")
    assert rows["strategy"].tolist() == 2 * ["mesa", "titans_default", "delta", "no_memory"]
    assert rows["horizon"].tolist() == 4 * [1] + 4 * [24]
    notes = (full / "RESULTS.md").read_text(encoding="utf-8")
    assert re.search(r"leaderboard/waves.parquet` \| leaderboard", notes)


def test_attribution_starts_from_the_baseline(inputs):
    table = runs.attribution(results(inputs, ["no-gate", "b-mini", "write-drop-read", "base"]))
    assert table.shown["run"].tolist() == ["write-drop-read <joint>", "no gate", "B-mini | frozen"]
    assert table.shown["differs in"].tolist()[:2] == ["(the baseline)", "write gate off"]
    # The run changes two things, and the row says so.
    changed = "fast_weights.gate: top → none; train.episode.several: [2, 4] → [1, 4]"
    assert table.shown["keys that differ"].tolist()[:2] == ["–", changed]
    assert table.shown["p (Holm)"].iloc[0] == "–"
    assert table.shown["EM(B), less the baseline's"].iloc[1].startswith("-0.")


def test_efficiency_is_of_the_model_itself_and_of_runs_without_a_memory(inputs):
    found = results(inputs, list(RUNS))
    shown = runs.efficiency(found).shown
    assert len(shown) == 3 * 2 * 2  # memories, levels, denominators
    first = shown.iloc[:2]
    assert first["divided by EM(A) of"].tolist() == ["the same model", "base as it is"]
    row = found.comparison("efficiency", "b-mini", "base", "B")
    assert first["ratio"].iloc[1] == estimate(row)
    assert found.references() == ["base"]
    assert "base" not in found.regimes()


def test_six_dialogues_of_each_memory_can_be_read(full):
    text = (full / "index.html").read_text(encoding="utf-8")
    shown = re.findall(r'<details class="example"><summary>(.*?), L\d-', text)
    assert {name: shown.count(name) for name in set(shown)} == {
        "B-mini | frozen": 6,
        "write-drop-read &lt;joint&gt;": 6,
        "no gate": 6,
    }
    assert re.search(r'the person is <span class="gate10">v\d{6}</span>', text)
    assert "✓ v" in text
    assert "✗ no idea" in text
    assert "Then 180 characters of distractor." in text
    assert "examples" not in section(full, "Verdict")


def test_the_dialogues_are_the_best_the_middle_and_the_worst():
    wrong = {f"s{n}": n for n in range(10)}
    rows = pd.DataFrame(
        [(name, float(place >= count)) for name, count in wrong.items() for place in range(9)],
        columns=["sample_id", "em"],
    )
    assert chosen(rows) == ["s0", "s1", "s4", "s5", "s8", "s9"]
    assert chosen(rows[rows["sample_id"].isin(["s1", "s2", "s3"])]) == ["s1", "s2", "s3"]
    assert chosen(rows[:0]) == []
    # Where all are alike the order is that of a digest: neither of names nor of rows.
    alike = rows.assign(em=1.0)
    assert chosen(alike) == chosen(alike[::-1])
    assert chosen(alike) != sorted(wrong)[:6]


def test_shades_are_those_of_words():
    gates = pd.DataFrame({"start": [-3, 4, 6], "end": [1, 6, 9], "gate": [0.5, 1.0, 0.0]})
    # "ab" has half a gate on one of two characters; "cdefg" has 2 of 5 characters open.
    assert list(shaded("ab, cdefg!", gates)) == [("ab", 2), (", ", 0), ("cdefg", 4), ("!", 0)]
    assert list(shaded("plain", gates[:0])) == [("plain", 0)]


def test_the_same_inputs_give_the_same_bytes(bare, inputs, tmp_path):
    done = run_script(inputs, tmp_path, metrics=["no-gate", "imported"], runs=[])
    assert done.returncode == 0, done.stderr
    for file in sorted(path for path in bare.rglob("*") if path.is_file()):
        assert file.read_bytes() == (tmp_path / file.relative_to(bare)).read_bytes(), file.name


def test_rows_keeps_sweeps_and_breakdowns_apart(inputs):
    found = results(inputs, ["write-drop-read"])
    assert len(found.rows("em", run="write-drop-read", condition="B")) == 1
    assert found.one("em", run="write-drop-read", condition="scale") is None
    assert len(found.rows("em", by=["setting"], condition="scale")) == 3
    assert set(found.rows("em", by=["level"], condition="B")["level"]) == {*LEVELS}
    assert found.one("em", run="nobody", condition="B") is None


def test_diagnostics_of_several_seeds_keep_the_widest_interval():
    rows = pd.DataFrame(
        {
            "run": "r", "seed": [0, 1], "statistic": "gate", "layer": 0, "segment": "fact",
            "value": [0.2, 0.4], "low": [0.1, 0.3], "high": [0.3, 0.5], "n": 8,
        }
    )  # fmt: skip
    row = over_seeds(rows).iloc[0]
    assert (row.low, row.value, row.high, row.seeds) == pytest.approx((0.1, 0.3, 0.5, 2))


def test_inputs_that_do_not_fit_are_refused(inputs, tmp_path):
    with pytest.raises(
        UserError, match=r"run write-drop-read: its metrics are in two of the files"
    ):
        results(inputs, ["write-drop-read", "write-drop-read"])
    done = run_script(inputs, tmp_path / "out", metrics=["missing"])
    assert done.returncode == 2
    assert re.fullmatch(r"error: \S+missing\.parquet: no such file\n", done.stderr)
    done = run_script(inputs, tmp_path / "out", metrics=["../curves/write-drop-read"])
    assert "column 'condition' is missing" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dpi", [72, 150, 300])
def test_no_label_is_cut(dpi):
    """Long names at the left stay inside the figure at the resolution of the file."""
    with style.look():
        figure, (axes,) = style.panels(1, size=(7.2, 3))
        axes.set_yticks(
            [0, 1], ["chunk 32, partial chunk dropped\nn = 1,200, 3 seeds"] * 2, fontsize=7
        )
        lay_out(figure, dpi)
        figure.savefig(BytesIO(), format="png", dpi=dpi)
        assert min(label.get_window_extent().x0 for label in axes.get_yticklabels()) >= 0
