"""A benchmark or corpus from files: what the configuration means by itself, and what it refuses."""

from pathlib import Path
from typing import Any, get_args

import pytest

from conversation_files import write_all
from presets import ROOT, merged
from ttt_memory.benchmark.config import Layout
from ttt_memory.benchmark.importers import LAYOUTS
from ttt_memory.benchmark.importers.layouts import SIGNS
from ttt_memory.errors import UserError
from ttt_memory.study import config
from ttt_memory.study.config import conversation_files


@pytest.fixture
def files(tmp_path) -> dict[str, str]:
    return {layout: str(path) for layout, path in write_all(tmp_path).items()}


def load(**overlay: Any) -> config.Config:
    return config.load(merged(overlay), root=ROOT)


def test_every_layout_can_be_configured_read_and_told_apart():
    assert set(get_args(Layout)) == set(LAYOUTS) == {*SIGNS, "parquet"}


def test_files_say_split_and_conditions_where_the_configuration_says_nothing(files):
    own = load(benchmark={"source": "babi", "files": [files["babi"]]})
    assert own.recall.sweep_split == "imported"
    assert own.recall.conditions == ("A", "B", "C", "W", "N")
    said = load(
        benchmark={"source": "babi", "files": [files["babi"]]}, recall={"conditions": ["A", "B"]}
    )
    assert said.recall.conditions == ("A", "B")
    assert load().recall.sweep_split == "all_new"
    assert conversation_files.defaults({"benchmark": {"source": "published"}}) == {
        "recall": {"sweep_split": "published"}
    }
    assert conversation_files.defaults({"benchmark": {"source": "parquet"}}) == {}


def test_training_on_own_conversations_needs_no_generated_dialogue(files):
    own = {"source": "jsonl", "files": [files["jsonl"]]}
    assert load(corpus={"dialogues": 0, "conversations": own}).corpus.conversations.share == 0.5


def test_training_on_the_files_that_are_asked_is_refused(files):
    both = {"source": "babi", "files": [files["babi"]]}
    with pytest.raises(UserError, match=r"corpus.conversations.files.0: .*benchmark.files names"):
        load(benchmark=both, corpus={"conversations": both})


REFUSED = [
    ("benchmark", {"source": "locomo"}, "benchmark: source 'locomo' needs files, one at least"),
    ("benchmark", {"files": ["x"]}, "files are named, expected another source than 'generator'"),
    ("benchmark", {"source": "squad"}, "benchmark.source: found \"squad\", expected 'generator', "),
    (
        "benchmark",
        {"source": "locomo", "files": ["babi"]},
        "benchmark.files.0: {babi}: expected the layout 'locomo' (source: locomo); it looks like"
        " 'babi': expected source: babi",
    ),
    (
        "benchmark",
        {"source": "locomo", "files": ["locomo"], "granularity": "session"},
        "benchmark.granularity: found \"session\", expected 'evidence_session', ",
    ),
    ("corpus", {"conversations": {"source": "babi"}}, "source 'babi' needs files, one at least"),
    ("corpus", {"conversations": {"files": ["babi"]}}, "corpus.conversations.source: missing"),
    (
        "corpus",
        {"conversations": {"source": "babi", "files": ["babi", "jsonl"]}},
        "corpus.conversations.files.1: {jsonl}: expected the layout 'babi'",
    ),
    (
        "corpus",
        {"conversations": {"source": "babi", "files": ["babi"], "share": 1}},
        "corpus.conversations.share: found 1, expected less than 1",
    ),
]


@pytest.mark.parametrize(("part", "given", "message"), REFUSED, ids=[m for *_, m in REFUSED])
def test_it_refuses(part, given, message, files):
    with pytest.raises(UserError) as caught:
        load(**{part: _named(given, files)})
    assert message.format(**files) in str(caught.value)


def _named(node: Any, files: dict[str, str]) -> Any:
    """`node` with the names of layouts in its lists of files replaced by paths."""
    if isinstance(node, dict):
        return {
            key: [files.get(name, name) for name in value]
            if key == "files"
            else _named(value, files)
            for key, value in node.items()
        }
    return node


def test_conditions_and_splits_that_conversations_do_not_have_are_refused(files):
    own = {"source": "jsonl", "files": [files["jsonl"]]}
    with pytest.raises(UserError, match=r"recall.conditions: found \['A', 'D'\], expected no D"):
        load(benchmark=own, recall={"conditions": ["A", "D"]})
    with pytest.raises(UserError, match=r"recall.sweep_split: found 'all_new', expected one of"):
        load(benchmark=own, recall={"sweep_split": "all_new"})


@pytest.mark.parametrize("name", ["locomo", "babi"])
def test_presets_say_where_the_files_are_that_they_lack(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Not from the repository, where somebody may have put them.
    data = merged({"base": {"path": str(ROOT / "data" / "models" / "embedded")}}, preset=name)
    with pytest.raises(UserError, match=r"benchmark.files.0: data/\S+: no such file; expected one"):
        config.load(data, root=Path("nowhere"))
