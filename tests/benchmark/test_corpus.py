"""Training dialogues: valid and varied, without held-out values, and written in parts."""

import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ttt_memory import io
from ttt_memory.benchmark import (
    CorpusConfig,
    corpus,
    read_benchmark,
    schemas,
    validate,
)
from ttt_memory.benchmark.distractors import content
from ttt_memory.benchmark.generator.lessons import SHARES
from ttt_memory.benchmark.generator.values import pools
from ttt_memory.benchmark.sample import REFUSALS, SYNTHETIC, TURN_SEPARATOR

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
LANGUAGES = ("zh", "en")


@pytest.fixture(scope="module", params=LANGUAGES)
def training(request):
    return list(corpus.dialogues(request.param, seed=3, count=3000))


def test_every_training_dialogue_is_valid(training):
    faults = {sample.sample_id: validate(sample) for sample in training}
    assert len(faults) == 3000
    assert not {name: fault for name, fault in faults.items() if fault}


def test_no_value_of_training_is_held_out(training):
    for sample in training:
        pool = pools(sample.language)
        assert not any(pool.held_out(fact.value) for fact in sample.facts)
    assert {(sample.split, sample.level, sample.variant) for sample in training} == {
        ("train", 1, "")
    }


def test_training_is_varied(training):
    kinds = Counter(probe.kind.split(":")[0] for sample in training for probe in sample.probes)
    assert kinds["bridge"] > 500
    assert kinds["pair"] > 1000
    categories = Counter(fact.category for sample in training for fact in sample.facts)
    assert len(categories) == 6
    synthetic = [sample for sample in training if sample.skeleton_id == SYNTHETIC]
    assert 0.65 < len(synthetic) / len(training) < 0.75
    questions = [probe.question for sample in synthetic for probe in sample.probes]
    assert len(set(questions)) > 0.6 * len(questions)
    values = [fact.value for sample in training for fact in sample.facts]
    assert len(set(values)) > 0.7 * len(values)
    # Facts stand in every quarter of the dialogues.
    places = Counter(
        4 * fact.start // len(s.sessions[0])
        for s in synthetic
        for fact in s.facts
        if not fact.session
    )
    assert min(places.values()) > 0.15 * places.total()


def test_every_kind_of_training_sample_has_its_share(training):
    changed = [sample for sample in training if any(fact.replaces for fact in sample.facts)]
    later = [s for s in changed if any(fact.replaces and fact.session for fact in s.facts)]
    three = [sample for sample in training if len(sample.sessions) == 3]
    two = [s for s in training if len(s.sessions) == 2 and s not in later]
    for found, wanted in (
        (len(changed) - len(later), SHARES["changed"]),
        (len(later) - len(three), SHARES["changed later"]),
        (len(two), SHARES["two"]),
        (len(three), SHARES["three"]),
    ):
        assert found / len(training) == pytest.approx(wanted, abs=0.025)


def test_a_changed_value_is_asked_for_and_its_rival_is_the_old_one(training):
    asked = 0
    for sample in training:
        values = {fact.fact_id: fact for fact in sample.facts}
        old = {fact.value for fact in sample.facts if not fact.replaces}
        for probe in sample.probes:
            new = any(values[name].replaces for name in probe.required_facts[-1:])
            if new and not probe.kind.startswith("pair"):
                asked += 1
                assert probe.rival is not None
                assert probe.gold not in old
            assert new or probe.rival is None or probe.kind.startswith("pair")
    assert asked > 500


def test_nothing_answers_some_questions_of_a_third_of_the_dialogues(training):
    refusals = [sum(not probe.answerable for probe in sample.probes) for sample in training]
    assert 0.25 < sum(map(bool, refusals)) / len(refusals) < 0.45
    assert {p.gold for s in training for p in s.probes if not p.answerable} == {
        REFUSALS[training[0].language]
    }


def test_questions_about_one_of_two_dialogues_name_its_speakers(training):
    two = [
        sample
        for sample in training
        if len(sample.sessions) == 2 and not any(fact.replaces for fact in sample.facts)
    ]
    assert len(two) > 200
    for sample in two:
        separator = TURN_SEPARATOR[sample.language]
        speakers = [
            {turn.partition(separator)[0] for turn in session.split("\n")}
            for session in sample.sessions
        ]
        for probe in sample.probes:
            named = [sum(name in probe.question for name in names) > 1 for names in speakers]
            assert sum(named) == 1, probe.question


def test_the_same_seed_gives_the_same_dialogues():
    for language in LANGUAGES:
        first = list(corpus.dialogues(language, 8, 50))
        assert first == list(islice(corpus.dialogues(language, 8), 50))
        assert first != list(corpus.dialogues(language, 9, 50))


def test_the_share_of_synthetic_dialogues_is_kept():
    for share in (0.0, 1.0):
        made = corpus.dialogues("en", 0, 30, synthetic_share=share)
        assert {sample.skeleton_id == SYNTHETIC for sample in made} == {bool(share)}


@pytest.mark.parametrize("synthetic", [0.0, 1.0])
def test_the_share_of_dialogues_asked_what_nothing_answers_is_kept(synthetic):
    def asked(share: float) -> float:
        made = list(corpus.dialogues("en", 0, 60, synthetic, share))
        return sum(any(not p.answerable for p in sample.probes) for sample in made) / len(made)

    assert asked(0.0) == 0
    assert 0.8 < asked(1.0) <= 1


def test_script_writes_dialogues_in_row_groups_and_training_passages(tmp_path, monkeypatch):
    config = CorpusConfig(seed=2, dialogues=70, passages=30)
    monkeypatch.setattr(corpus, "ROW_GROUP", 32)
    out = tmp_path / "library.parquet"
    assert list(corpus.write_dialogues(out, config, {"note": 1})) == [32, 64, 70]
    assert pq.ParquetFile(out).num_row_groups == 3
    assert io.read_metadata(out) == {"note": 1}
    samples = read_benchmark(out)
    streams = [corpus.dialogues(language, 2, 35) for language in config.languages]
    assert samples == [next(streams[i % 2]) for i in range(70)]

    script = tmp_path / "script.parquet"
    passages = tmp_path / "passages.parquet"
    command = [sys.executable, SCRIPTS / "make_corpus.py", "--out", script, "--passages", passages]
    text = '{"corpus": {"seed": 2, "dialogues": 70, "passages": 30}}'
    subprocess.run([*command, "--config", text], check=True, capture_output=True)
    assert read_benchmark(script) == samples
    rows = io.read_table(passages, schemas.PASSAGES)
    assert list(rows["language"]) == ["zh", "en"] * 15
    assert rows["passage_id"].is_unique
    for language, topic in zip(rows["language"], rows["topic"], strict=True):
        assert topic in content.load(language, "train").topics


def test_an_interrupted_file_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "ROW_GROUP", 16)
    writing = corpus.write_dialogues(tmp_path / "c.parquet", CorpusConfig(dialogues=64), {})
    next(writing)
    writing.close()
    assert list(tmp_path.iterdir()) == []
