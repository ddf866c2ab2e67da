"""An old name in the configuration is refused, and the message gives the new name."""

from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import ValidationError

from presets import ROOT, merged
from ttt_memory.errors import UserError
from ttt_memory.options import Options
from ttt_memory.study import config
from ttt_memory.study.config import renamed_keys


class Training(Options):
    """The training of a run, with the new names."""

    episode: int = 0
    objective: Literal["lm", "write_drop_read"] = "lm"


class Run(Options):
    """A run, which needs `fast_weights`."""

    fast_weights: int
    train: Training = Training()


class Pretraining(Options):
    """Pretraining, with the new name."""

    episode: int = 0


class Base(Options):
    """The base model."""

    pretrain: Pretraining = Pretraining()


class Study(Options):
    """The part of a configuration that has renamed keys."""

    base: Base = Base()
    runs: dict[str, Run]


def refusal(data: dict[str, Any]) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Study.model_validate(data)
    return caught.value


@pytest.mark.parametrize(
    ("data", "key", "told"),
    [
        (
            {"runs": {"mine": {"fast_weights": 1, "train": {"reading": {}}}}},
            "runs.mine.train.reading",
            "is now called runs.mine.train.episode",
        ),
        (
            {"base": {"pretrain": {"reading": {"several": [1, 2]}}}},
            "base.pretrain.reading",
            "is now called base.pretrain.episode",
        ),
        (
            {"runs": {"mine": {"fast_weights": 1, "train": {"objective": "recall"}}}},
            "runs.mine.train.objective",
            "'recall' is now called 'write_drop_read'",
        ),
        (
            {"runs": {"recall": {"train": {"episode": 1}}}},
            "runs.recall",
            "run 'recall' is now called 'write-drop-read'",
        ),
        # It is reported before other mistakes.
        (
            {"base": {"typo": 1}, "runs": {"m": {"fast_weights": "x", "train": {"reading": 1}}}},
            "runs.m.train.reading",
            "is now called runs.m.train.episode",
        ),
    ],
)
def test_an_old_name_is_explained(data: dict[str, Any], key: str, told: str) -> None:
    assert renamed_keys.explain(refusal(data)) == (key.split("."), told)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"runs": {"mine": {"train": {}}}},
        {"runs": {"mine": {"fast_weights": 1, "train": {"objective": "other"}}}},
        {"runs": {"mine": {"fast_weights": 1, "reading": {}}}},
        {"base": {"pretrain": {"episode": "recall"}}},
    ],
)
def test_another_mistake_is_not_taken_for_an_old_name(data: dict[str, Any]) -> None:
    assert renamed_keys.explain(refusal(data)) is None


NOW = "run 'recall' is now called 'write-drop-read'"


@pytest.mark.parametrize(
    ("data", "sources", "found"),
    [
        ({"runs": {"recall": None}}, [{}], {"runs.recall": NOW}),
        ({"runs": {"recall": None}}, [], {}),
        ({"runs": {"mine": {"like": "recall"}}}, [], {"runs.mine.like": NOW}),
        ({"report": {"baseline": "recall"}}, [], {"report.baseline": NOW}),
        # A run of this name is the user's own, even if a stronger file drops it.
        ({"runs": {"recall": {"fast_weights": 1}, "mine": {"like": "recall"}}}, [], {}),
        ({"runs": {"recall": None}}, [{"runs": {"recall": {"fast_weights": 1}}}], {}),
        ({"runs": None, "report": None}, [{"runs": [1]}], {}),
        ({}, [], {}),
    ],
)
def test_the_old_name_of_a_run_is_explained(
    data: dict[str, Any], sources: list[dict[str, Any]], found: dict[str, str]
) -> None:
    told = {".".join(key): text for key, text in renamed_keys.old_runs(data, sources)}
    assert told == found


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"recall": {"parts": 1}}, "recall.parts: is now called recall.shards"),
        ({"recall": {"sweeps": ["far"]}}, "recall.sweeps.0: 'far' is now called 'retention'"),
        ({"runs": {"old": {"train": {"steps": 7}}}}, "runs.old: run 'old' is now called 'b-mini'"),
        ({"runs": {"old": None}}, "runs.old: run 'old' is now called 'b-mini'"),
        ({"runs": {"x": {"like": "old"}}}, "runs.x.like: run 'old' is now called 'b-mini'"),
        ({"report": {"baseline": "old"}}, "report.baseline: run 'old' is now called 'b-mini'"),
    ],
)
def test_the_configuration_refuses_an_old_name_in_one_line_with_the_file(
    overlay: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renamed_keys, "KEYS", {"recall.parts": "recall.shards"})
    monkeypatch.setattr(renamed_keys, "VALUES", {"recall.sweeps.*": {"far": "retention"}})
    monkeypatch.setattr(renamed_keys, "RUNS", {"old": "b-mini"})
    preset = tmp_path / "mine.yaml"
    preset.write_text(yaml.safe_dump(overlay))
    files = {str(preset): None, str(ROOT / "config.yaml"): None}
    with pytest.raises(UserError) as caught:
        config.load(merged(overlay), files, ROOT)
    assert str(caught.value) == f"{preset}: {message}"
