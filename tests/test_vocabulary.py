"""The vocabulary is the only list of its words, and a new condition is one entry of it."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from conversation_models import prompter
from ttt_memory import vocabulary
from ttt_memory.benchmark import config as benchmark_config
from ttt_memory.benchmark import sample
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.conversation.recall.alternatives import METHODS
from ttt_memory.conversation.recall.episodes import EpisodeMaker
from ttt_memory.report import wording
from ttt_memory.report.config import FIGURES
from ttt_memory.report.equal_bytes import LABELS, ORDER
from ttt_memory.report.figures import style
from ttt_memory.vocabulary import ALTERNATIVES, CONDITIONS, SEGMENTS, SPLITS, SWEEPS, THIRDS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "workflow" / "scripts" / "ttt_memory"
# The generator must not depend on labels: a reworded label would make the benchmark again.
OWN_LISTS = {"benchmark/sample.py", "benchmark/config.py"}


def test_it_imports_nothing_of_the_package():
    tree = ast.parse((PACKAGE / "vocabulary.py").read_text())
    found = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import)]
    found += [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert found == ["from dataclasses import dataclass"]


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_has_what_tables_and_figures_need(name):
    condition = CONDITIONS[name]
    assert condition.name == name
    assert re.fullmatch("[A-Z]", name)
    assert condition.label
    assert condition.meaning.endswith(".")
    assert condition.meaning in wording.conditions()
    assert style.CONDITION_COLOURS[name].startswith("#")
    assert set(style.CONDITION_HATCHES[name]) <= set("./x\\o+")


def test_conditions_differ_in_every_figure():
    looks = [(style.CONDITION_COLOURS[name], style.CONDITION_HATCHES[name]) for name in CONDITIONS]
    assert len(set(looks)) == len(CONDITIONS)
    assert len({colour for colour, _ in looks}) == len(CONDITIONS)
    assert len({condition.label for condition in CONDITIONS.values()}) == len(CONDITIONS)


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_has_what_configuration_tables_and_figures_need(name):
    sweep = SWEEPS[name]
    assert sweep.name == name
    assert sweep.settings in RecallConfig.model_fields
    assert sweep.label
    assert sweep.setting_label
    assert sweep.meaning.endswith(".")
    # All dialogues in context are drawn as a line in the figure of those in one state.
    assert name in FIGURES or (sweep.in_context and name == "capacity_context")


def test_the_configuration_offers_every_condition_and_sweep():
    for key, known in (("conditions", CONDITIONS), ("sweeps", SWEEPS)):
        field = RecallConfig.model_fields[key]
        assert field.default == tuple(known)
        assert get_args(get_args(field.annotation)[0]) == tuple(known)


def test_recall_makes_the_episodes_of_every_condition_and_sweep():
    maker = EpisodeMaker(prompter(), [], RecallConfig())
    assert set(maker.makers) == {*CONDITIONS, *SWEEPS, *ALTERNATIVES}
    assert set(METHODS) == set(ALTERNATIVES)


@pytest.mark.parametrize("name", ALTERNATIVES)
def test_an_alternative_has_what_configuration_and_report_need(name):
    entry = ALTERNATIVES[name]
    assert entry.name == name
    assert set(entry.keys) <= set(RecallConfig.model_fields)
    assert entry.label
    assert entry.meaning.endswith(".")
    assert name in LABELS
    assert name in ORDER


def test_the_configuration_offers_every_alternative():
    field = RecallConfig.model_fields["alternatives"]
    assert get_args(get_args(field.annotation)[0]) == tuple(ALTERNATIVES)
    assert set(ALTERNATIVES) - set(field.default) == {"L"}


def test_selections_name_known_conditions():
    chosen = [name for pair in vocabulary.PAIRS for name in pair]
    chosen += [*vocabulary.MEMORY_EFFICIENCY, *vocabulary.RETENTION_RATIO]
    chosen += [*vocabulary.CONTROLS, *vocabulary.BY_LEVEL, *vocabulary.BEHIND_DISTRACTOR]
    chosen += [*vocabulary.BY_POSITION, *vocabulary.WITH_DISTRACTOR, *vocabulary.COSTED]
    assert set(chosen) <= set(CONDITIONS)
    assert set(vocabulary.EVERY_PROBE) < set(CONDITIONS)
    assert vocabulary.IN_CONTEXT == ("A", "capacity_context")


def test_splits_are_those_of_the_benchmark():
    assert tuple(SPLITS) == sample.SPLITS == get_args(benchmark_config.Split)
    assert vocabulary.HEADLINE_SPLIT in SPLITS


def lists(tree: ast.AST) -> list[set[str]]:
    """The strings in each list, tuple, set and mapping, and the letters of each string."""
    found = []
    for node in ast.walk(tree):
        entries = []
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            entries = node.elts
        elif isinstance(node, ast.Dict) and len(node.keys) > 2:
            entries = node.keys
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(set(node.value) if len(set(node.value)) == len(node.value) else set())
        found.append({entry.value for entry in entries if isinstance(entry, ast.Constant)})
    return found


def repeated(tree: ast.AST) -> list[set[str]]:
    """The lists in a file that hold words of the vocabulary: two conditions, or three others.

    Code may speak of single ones, such as the two sweeps of capacity.
    """
    known = [(set(CONDITIONS), 2)]
    known += [(set(words), 3) for words in (SWEEPS, SPLITS, THIRDS, SEGMENTS)]
    return [
        words
        for words in lists(tree)
        if any(len(words) >= least and words <= those for those, least in known)
    ]


@pytest.mark.parametrize(
    "text", ['("A", "B")', '{"A": 0, "W": 1, "N": 2}', 'for c in "ABD": pass',
             '["front", "middle", "back"]', 'Literal["retention", "scale", "capacity"]'],
)  # fmt: skip
def test_a_list_that_stands_twice_is_found(text):
    assert repeated(ast.parse(text))


def test_no_other_file_has_such_a_list():
    files = {str(path.relative_to(PACKAGE)): path for path in PACKAGE.rglob("*.py")}
    found = {name: repeated(ast.parse(path.read_text())) for name, path in files.items()}
    assert {name for name, words in found.items() if words} == {"vocabulary.py", *OWN_LISTS}
    rules = "".join(path.read_text() for path in ROOT.glob("rules/*.smk"))
    assert not re.search("|".join(f"[\"']{name}[\"']" for name in SWEEPS), rules)


# What a condition passes through after recall has answered its probes.
THROUGH = """
import json
from pathlib import Path
import pandas as pd
import scored_runs
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.report.figures import em
from ttt_memory.report.results import Results
from ttt_memory.report.config import ReportConfig
from ttt_memory.report import wording
from ttt_memory.report.tables import em as em_tables
from ttt_memory.scoring.config import ScoringConfig
from ttt_memory.scoring.metrics import metrics_table
from ttt_memory.scoring.probe_scores import score

config = RecallConfig(conditions=["B", "X"])
samples = scored_runs.samples(4)
rows = pd.DataFrame(scored_runs.run_rows(samples, "r", (0,), 0.9, sweeps=False))
rows = rows.assign(order=-1, answer=rows["prediction"], gold=None, file="f", setting=float("nan"))
scoring = ScoringConfig(bootstrap=100, permutations=99)
metrics = metrics_table(score(samples, rows), scoring)
none = pd.DataFrame()
results = Results(metrics, *[none] * 6, {}, {}, ReportConfig(), scoring)
figure = em.em_by_condition(results)
print(json.dumps({
    "configured": config.conditions,
    "scored": sorted(metrics["condition"].unique()),
    "columns": list(em_tables.conditions(results).shown.columns),
    "breakdown": list(em_tables.breakdown(results, "level").shown.columns),
    "legend": [text.get_text() for text in figure.legends[0].get_texts()],
    "text": wording.conditions(),
}))
"""


def test_a_new_condition_is_one_entry(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "ttt_memory", ignore=shutil.ignore_patterns("*.pyc"))
    file = tmp_path / "ttt_memory" / "vocabulary.py"
    entry = '        Condition("X", "an example", "The model is given an example."),\n'
    before, after = file.read_text().split("    )\n}\n", 1)
    file.write_text(f"{before}{entry}    )\n}}\n{after}")
    done = subprocess.run(
        [sys.executable, "-c", THROUGH],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT / 'tests' / 'helpers'}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["configured"] == ["B", "X"]
    for part in ("scored", "columns", "breakdown"):
        assert "X" in found[part], part
    assert "X: an example" in found["legend"]
    assert "**X: an example.** The model is given an example." in found["text"]
