"""The report is built by its script from files that scoring wrote, and says what it rests on."""

import csv
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest

import forecast_waves as waves
import scored_runs
from ttt_memory import io
from ttt_memory.benchmark import schemas as benchmark_schemas
from ttt_memory.conversation import schemas as conversation_schemas
from ttt_memory.errors import UserError
from ttt_memory.forecast import schemas as forecast_schemas
from ttt_memory.forecast.comparison.leaderboard import leaderboard
from ttt_memory.forecast.config import ComparisonConfig
from ttt_memory.report.build import DRAWERS, lay_out
from ttt_memory.report.config import FIGURES, ReportConfig, RunText
from ttt_memory.report.figures import style
from ttt_memory.report.results import load
from ttt_memory.report.summaries import over_seeds
from ttt_memory.report.tables import em
from ttt_memory.report.tables.table import estimate
from ttt_memory.scoring import schemas as scoring_schemas
from ttt_memory.scoring.config import ScoringConfig
from ttt_memory.scoring.metrics import metrics_table
from ttt_memory.scoring.predictions import read_predictions
from ttt_memory.scoring.probe_scores import score

SCRIPT = Path(__file__).parents[2] / "workflow" / "scripts" / "report.py"
CAPTIONS = Path(__file__).parents[2] / "workflow" / "report"
SCORING = ScoringConfig(bootstrap=100, permutations=99)
SAMPLES = scored_runs.samples(8)
RUNS = {
    "b-mini": {"label": "B-mini | frozen", "seeds": [0]},
    "write-drop-read": {"label": "write-drop-read <joint>"},
    "no-gate": {"label": "no gate", "differs": "write gate off"},
}


def write_metrics(
    path: Path, name: str, memory: float, seeds: tuple[int, ...], sweeps: bool
) -> None:
    rows = scored_runs.run_rows(SAMPLES, name, seeds, memory, sweeps)
    given = scored_runs.write(path / "predictions" / f"{name}.parquet", rows)
    table = metrics_table(score(SAMPLES, read_predictions([str(given)])), SCORING)
    note = {"versions": {"numpy": "2"}, "config_hash": "f00d", "seed": 0}
    io.write_table(path / "metrics" / f"{name}.parquet", table, scoring_schemas.METRICS, note)


def write_curve(path: Path, name: str) -> None:
    rows = [
        {
            "run": name,
            "seed": 0,
            "step": step,
            "tokens": 100 * step,
            "seconds": 0.5 * step,
            "objective": ("write_drop_read", "context")[step % 2],
            "loss": 3 / (1 + step),
            "context_loss": (2 / (1 + step), None)[step % 2],
            "inner_norm": (0.1, None)[step % 2],
            "learning_rate": 0.1,
        }
        for step in range(90)
    ]
    io.write_table(path / "curves" / f"{name}.parquet", rows, conversation_schemas.CURVE, {})


def write_diagnostics(path: Path, name: str, gated: bool) -> None:
    rows = []
    for seed in (0, 1):
        for place, segment in enumerate(("fact", "filler", "distractor")):
            kinds = [("next_token_loss", -1), *((("gate", 0), ("gate", 1)) if gated else ())]
            for statistic, layer in kinds:
                value = (place + 1.5) if layer < 0 else 0.9 - 0.3 * place
                rows.append((name, seed, statistic, layer, segment, value))
        rows += [(name, seed, "relative_norm", layer, "dialogue", 0.2) for layer in (0, 1)]
    frame = pd.DataFrame(rows, columns=["run", "seed", "statistic", "layer", "segment", "value"])
    frame = frame.assign(low=frame["value"] - 0.05, high=frame["value"] + 0.05, n=8)
    io.write_table(
        path / "diagnostics" / f"{name}.parquet", frame, conversation_schemas.DIAGNOSTICS, {}
    )


FORECAST = {name: ["waves"] for name in ("leaderboard", "forecasts", "forecast-curves", "traces")}


def write_forecasts(path: Path) -> None:
    """Four strategies, of which one is without memory, on one dataset with three seeds."""
    given = waves.SCALES | {"delta": (0.30, 0.45, 0.40)}
    jobs = [
        (name, seed, scale) for name, scales in given.items() for seed, scale in enumerate(scales)
    ]
    made = pd.DataFrame([row for job in jobs for row in waves.forecasts(*job)])
    costs = pd.DataFrame([row for name, seed, _ in jobs for row in waves.epochs(name, seed)])
    place = {"dataset": "waves", "strategy": "mesa", "seed": 0, "series": 0, "layer": 0}
    traces = [
        {**place, "position": 16 * chunk + 15, "quantity": quantity, "value": 1 / (chunk + 1)}
        for quantity in ("recall_error", "gate")
        for chunk in range(3)
    ]
    for part, rows, schema in (
        ("leaderboard", leaderboard(made, costs, ComparisonConfig()), forecast_schemas.LEADERBOARD),
        ("forecasts", made, forecast_schemas.FORECASTS),
        ("forecast-curves", costs, forecast_schemas.EPOCHS),
        ("traces", traces, forecast_schemas.TRACES),
    ):
        io.write_table(path / part / "waves.parquet", rows, schema, {"config_hash": part})


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("inputs")
    io.write_table(
        path / "benchmark.parquet", [one.row() for one in SAMPLES], benchmark_schemas.BENCHMARK, {}
    )
    write_metrics(path, "b-mini", 0.0, (0,), sweeps=False)
    write_metrics(path, "write-drop-read", 0.95, (0, 1), sweeps=True)
    write_metrics(path, "no-gate", 0.5, (0,), sweeps=False)
    write_metrics(path, "imported", 0.4, (0,), sweeps=False)
    for name in RUNS:
        write_curve(path, name)
        write_diagnostics(path, name, gated=name == "write-drop-read")
    write_forecasts(path)
    return path


def run_script(inputs: Path, out: Path, **parts: list[str]) -> subprocess.CompletedProcess:
    runs = {name: RUNS[name] for name in parts.pop("runs", list(RUNS))}
    config = {"report": {"dpi": 60}, "scoring": {}, "runs": runs}
    command = [sys.executable, SCRIPT, "--config", json.dumps(config), "--out", out]
    command += ["--benchmark", inputs / "benchmark.parquet"]
    for part, names in parts.items():
        command += [f"--{part}", *(inputs / part / f"{name}.parquet" for name in names)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def full(inputs, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("full") / "report"
    scored = [*RUNS, "imported"]
    runs = list(RUNS)
    done = run_script(inputs, out, metrics=scored, curves=runs, diagnostics=runs, **FORECAST)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def bare(inputs, tmp_path_factory) -> Path:
    """A report of two runs of which nothing but conditions is known."""
    out = tmp_path_factory.mktemp("bare") / "report"
    done = run_script(inputs, out, metrics=["no-gate", "imported"], runs=[])
    assert done.returncode == 0, done.stderr
    return out


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


def results(inputs: Path, names: list[str]):
    return load(
        inputs / "benchmark.parquet",
        [inputs / "metrics" / f"{name}.parquet" for name in names],
        [],
        [],
        {name: RunText(**RUNS[name]) for name in RUNS},
        ReportConfig(),
        SCORING,
    )


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
    row = results(inputs, ["write-drop-read"]).one("memory_efficiency", run="write-drop-read")
    text = (full / "RESULTS.md").read_text(encoding="utf-8")
    assert f"**write-drop-read <joint>: viable.** Memory efficiency {estimate(row)} on all" in text
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
    for row in rows:
        same = metrics[
            (metrics["metric"] == row["metric"])
            & (metrics["condition"] == row["condition"])
            & metrics["setting"].isna()
            & (metrics[["level", "category", "position", "probe_order", "language"]] == "all").all(
                axis=1
            )
            & (metrics[["split", "grounding", "kind", "composition", "seed"]] == "all").all(axis=1)
        ]
        assert len(same) == 1
        assert float(row["value"]) == pytest.approx(same["value"].iloc[0])


def section(folder: Path, title: str) -> str:
    text = (folder / "RESULTS.md").read_text(encoding="utf-8")
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.S | re.M).group(1)


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
    assert sum(link.startswith("data:") for link in Page(bare / "index.html").fetched) == 5


def test_what_was_run_is_shown(full):
    for title, name in [
        ("Retention", "retention"),
        ("Capacity", "capacity"),
        ("Scale of the write", "scale"),
        ("Training", "training_loss"),
        ("Write gates and surprise", "gates"),
        ("Size of the fast weights", "norms"),
        ("What makes the difference", "attribution"),
        ("Held-out values and skeletons", "splits"),
    ]:
        text = section(full, title)
        assert f"(figures/{name}.svg)" in text
        assert "Not run" not in text
    assert "write gate off" in section(full, "What makes the difference")
    gates = section(full, "Write gates and surprise")
    assert "1.50 nats on facts, 3.50 on distractor text" in gates
    assert "would write more of the distractor text" in gates


def test_forecasts_are_compared_and_it_is_said_whether_memory_helps(full):
    text = section(full, "Forecast study")
    assert "**waves.** Lowest error: mesa, test MSE 0." in text
    assert (
        "12 series, 3 seeds. Better than the same model without memory: mesa, titans_default."
        in text
    )
    assert "No gain (the interval includes zero): delta." in text
    for name in FIGURES:
        assert (f"(figures/{name}.svg)" in text) == name.startswith("forecast_")
    rows = pd.read_csv(full / "tables" / "forecast_waves.csv")
    assert rows["strategy"].tolist() == ["mesa", "titans_default", "delta", "no_memory"]
    notes = (full / "RESULTS.md").read_text(encoding="utf-8")
    assert re.search(r"leaderboard/waves.parquet` \| leaderboard", notes)


def test_attribution_starts_from_the_baseline(inputs):
    table = em.attribution(results(inputs, ["no-gate", "b-mini", "write-drop-read"]))
    assert table.shown["run"].tolist() == ["write-drop-read <joint>", "no gate", "B-mini | frozen"]
    assert table.shown["differs in"].tolist()[:2] == ["(the baseline)", "write gate off"]


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
    assert set(found.rows("em", by=["level"], condition="B")["level"]) == {"1", "2", "3"}
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
