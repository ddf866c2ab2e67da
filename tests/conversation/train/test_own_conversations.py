"""Training and asking on conversations from files, beside generated dialogues and alone."""

import json
import random
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from conversation_files import CONVERSATION, LOCOMO, write_all
from conversation_models import fast_weights, passages, prompter, samples
from presets import ROOT
from ttt_memory import io
from ttt_memory.benchmark import read_benchmark
from ttt_memory.benchmark.config import CorpusConfig
from ttt_memory.benchmark.corpus import copies, times_of
from ttt_memory.benchmark.importers import read_conversations
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.conversation.config.training import EpisodeConfig, RunConfig, TrainConfig
from ttt_memory.conversation.recall.episodes import EpisodeMaker as Asking
from ttt_memory.conversation.train.corpus_sampler import CorpusSampler, crop
from ttt_memory.conversation.train.episodes import EpisodeMaker
from ttt_memory.conversation.train.train_run import train
from ttt_memory.errors import UserError


@pytest.fixture
def own(tmp_path):
    """Two conversations in our own layout."""
    file = tmp_path / "own.jsonl"
    entries = [CONVERSATION, CONVERSATION | {"id": "b"}]
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return file


def make_corpus(folder, corpus: dict) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "workflow" / "scripts" / "make_corpus.py"]
    command += ["--config", json.dumps({"corpus": corpus})]
    command += ["--out", folder / "dialogues.parquet", "--passages", folder / "passages.parquet"]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def test_they_stand_in_the_corpus_with_their_share(own, tmp_path):
    conversations = {"source": "jsonl", "files": [str(own)], "share": 0.25}
    corpus = {"dialogues": 12, "passages": 4, "conversations": conversations}
    result = make_corpus(tmp_path, corpus)
    assert result.returncode == 0, result.stderr
    found = read_benchmark(tmp_path / "dialogues.parquet")
    assert [s.sample_id for s in found if s.split == "imported"] == ["a", "b", "a~2", "b~2"]
    assert len(found) == 16
    alone = corpus | {"dialogues": 0}
    assert make_corpus(tmp_path, alone).returncode == 0
    assert [s.sample_id for s in read_benchmark(tmp_path / "dialogues.parquet")] == ["a", "b"]


def test_each_stands_there_once_however_small_the_share():
    few = CorpusConfig(
        dialogues=2, conversations={"source": "jsonl", "files": ["x"], "share": 0.01}
    )
    assert times_of(samples(), few) == 1
    assert list(copies(samples(), 1)) == samples()


def test_what_a_file_lacks_is_counted_in_the_corpus(tmp_path):
    files = write_all(tmp_path)
    conversations = {"source": "locomo", "files": [str(files["locomo"])]}
    assert make_corpus(tmp_path, {"dialogues": 2, "conversations": conversations}).returncode == 0
    note = io.read_metadata(tmp_path / "dialogues.parquet")
    assert note["counts"]["questions left out: no answer given"] == 1


def test_a_language_without_passages_is_refused_in_one_line(own, tmp_path):
    conversations = {"source": "jsonl", "files": [str(own)]}
    result = make_corpus(tmp_path, {"languages": ["zh"], "conversations": conversations})
    assert result.returncode == 2
    assert result.stderr == (
        "error: corpus.conversations: sample 'a' is in 'en', expected one of corpus.languages"
        " ['zh']\n"
    )


def test_training_on_them_alone(own):
    found = read_conversations("jsonl", [own]).samples
    sampler = CorpusSampler(found, passages(), prompter(), 0, 4)
    config = RunConfig(
        fast_weights=fast_weights().config,
        train=TrainConfig(steps=3, dialogues_per_step=2, growing_steps=2),
    )
    torch.manual_seed(0)
    fw = fast_weights()
    before = [p.clone() for p in fw.fast.parameters()]
    assert len(train(fw, sampler, config, Accelerator(cpu=True))) == 3
    assert not all(torch.equal(a, b) for a, b in zip(before, fw.fast.parameters(), strict=True))


def test_only_samples_with_a_known_place_are_cut(own):
    (sample, _) = read_conversations("jsonl", [own]).samples
    rng = random.Random(0)
    for _ in range(20):
        cut = crop(sample, 1, rng)
        assert cut.sessions == ("Ann: I got a dog, Biscuit.\n",)
        assert [probe.probe_id for probe in cut.probes] == ["Q1", "Q3"]
    unknown = replace(sample, probes=sample.probes[1:])  # its answer stands there twice
    whole = "".join(unknown.sessions)
    assert crop(unknown, 1, rng) == replace(unknown, sessions=(whole,))


def test_no_question_of_one_is_asked_about_another(own):
    found = read_conversations("jsonl", [own]).samples
    own_ones, generated = prompter().encode(found), prompter().encode(samples()[20:24])
    config = EpisodeConfig(foreign_probes=2)
    episodes = EpisodeMaker(CorpusSampler(found, passages(), prompter(), 0, 4), config)
    assert episodes._foreign([generated[0]], [generated[1]])
    for group, other in ((own_ones[0], own_ones[1]), (generated[0], own_ones[1])):
        assert episodes._foreign([group], [other]) == []
        assert episodes._foreign([other], [group]) == []


def test_another_dialogue_is_one_of_another_conversation(tmp_path):
    file = tmp_path / "locomo.json"
    file.write_text(json.dumps([LOCOMO, LOCOMO | {"sample_id": "c2"}]))
    found = read_conversations("locomo", [file]).samples
    maker = Asking(prompter(), found, RecallConfig())
    for place, sample in enumerate(found):
        assert maker._donor(place).skeleton_id != sample.skeleton_id
    alone = Asking(prompter(), found[:3], RecallConfig())
    with pytest.raises(UserError, match="condition W needs two skeletons of its language"):
        alone.episodes("W")
