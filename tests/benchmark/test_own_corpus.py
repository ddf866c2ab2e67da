"""Training on texts of the user: what is read, what is refused, and who uses them."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from accelerate import Accelerator

from clone import ROOT, Clone, jobs_of
from conversation_models import fast_weights, prompter
from presets import merged
from ttt_memory import io
from ttt_memory.benchmark import own_texts, schemas
from ttt_memory.conversation.config.training import EpisodeConfig, RunConfig, StepMix, TrainConfig
from ttt_memory.conversation.train.batches import BatchMaker
from ttt_memory.conversation.train.corpus_sampler import CorpusSampler
from ttt_memory.conversation.train.train_run import train
from ttt_memory.errors import UserError
from ttt_memory.study import config

CHAT = [{"role": "user", "content": "What tides?"}, {"role": "assistant", "content": "High ones."}]
RENDERED = "user: What tides?\nassistant: High ones.\n"
ROWS = [{"messages": CHAT}, {"text": "A plain page.", "source": "x"}]


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def make_corpus(folder: Path, corpus: dict, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "workflow" / "scripts" / "make_corpus.py"]
    command += ["--config", json.dumps({"corpus": corpus}), "--texts", *files]
    command += ["--out", folder / "dialogues.parquet", "--passages", folder / "passages.parquet"]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def test_lines_and_tables_of_messages_and_text_are_read(tmp_path):
    lines = jsonl(tmp_path / "a.jsonl", ROWS[0], "", ROWS[1])
    assert list(own_texts.read_texts(lines)) == [CHAT, "A plain page."]
    table = pa.table({"text": [None, "A plain page."], "messages": [CHAT, None], "id": [0, 1]})
    pq.write_table(table, tmp_path / "b.parquet")
    assert list(own_texts.read_texts(tmp_path / "b.parquet")) == [CHAT, "A plain page."]
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "notes.json").write_text("{}")
    assert own_texts.files_in([tmp_path, lines]) == [lines, tmp_path / "b.parquet", lines]


PARTS = [{"type": "text", "text": "What "}, {"type": "input_text", "text": "tides?"}]
CALLS = [{"type": "function", "function": {"name": "tide", "arguments": '{"at": "Dover"}'}}]


def test_content_in_parts_and_calls_of_tools_are_text(tmp_path):
    """As OpenAI's chat format has them: in lines, in a table, and behind text of the same turn."""
    turns = [
        {"role": "user", "content": PARTS},
        {"role": "assistant", "content": None, "tool_calls": CALLS},
        {"role": "tool", "content": "High."},
        {"role": "assistant", "content": "I look again.", "tool_calls": CALLS},
    ]
    call = 'tide({"at": "Dover"})'
    said = ["What tides?", call, "High.", f"I look again.\n{call}"]
    (found,) = own_texts.read_texts(jsonl(tmp_path / "a.jsonl", {"messages": turns}))
    assert [turn["content"] for turn in found] == said
    pq.write_table(pa.table({"messages": [turns[1:]]}), tmp_path / "b.parquet")
    (found,) = own_texts.read_texts(tmp_path / "b.parquet")
    assert [turn["content"] for turn in found] == said[1:]


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ({"content": [{"type": "image_url"}]}, r'content\[0\]: found a part of type "image_url"'),
        ({"content": [{"type": "text"}]}, r"content\[0\]: field 'text' is missing"),
        ({"content": []}, r"content: found \[\], expected text that is not empty"),
        ({"tool_calls": [{}]}, r"tool_calls\[0\]: field 'function' is missing"),
        ({"tool_calls": {"function": 1}}, r"tool_calls: found .*, expected a list"),
    ],
)
def test_a_part_or_call_that_is_no_text_is_named(turn, message, tmp_path):
    file = jsonl(tmp_path / "a.jsonl", {"messages": [{"role": "user", **turn}]})
    with pytest.raises(UserError, match=rf"line 1: messages\[0\]\.{message}"):
        list(own_texts.read_texts(file))


def test_upper_case_endings_and_byte_order_marks_are_read(tmp_path):
    """As Windows writes them."""
    file = tmp_path / "A.JSONL"
    file.write_text(json.dumps(ROWS[1]), encoding="utf-8-sig")
    assert own_texts.files_in([tmp_path]) == [file]
    assert list(own_texts.read_texts(file)) == ["A plain page."]


REFUSED = [
    ("{broken", "line 2: not readable as JSON in UTF-8"),
    (
        r'{"text": "half \ud83d"}',
        r"line 2: not readable as JSON in UTF-8 (a text holds '\ud83d', half of a surr",
    ),
    ("[1]", "line 2: found [1], expected an object with 'messages' or 'text'"),
    ({"prompt": "x"}, "line 2: found fields ['prompt'], expected 'messages' or 'text'"),
    ({"text": 3}, "line 2: text: found 3, expected text that is not empty"),
    ({"text": " "}, 'line 2: text: found " ", expected text that is not empty'),
    ({"messages": []}, "line 2: messages: found [], expected a filled list"),
    ({"messages": ["hi"]}, 'line 2: messages[0]: found "hi", expected an object'),
    ({"messages": [*CHAT, {"role": "user"}]}, "line 2: messages[2].content: found null, expected"),
    ({"messages": [{"content": "x"}]}, "line 2: messages[0].role: found null, expected text"),
]


@pytest.mark.parametrize(("row", "message"), REFUSED, ids=[text for _, text in REFUSED])
def test_a_malformed_line_is_named_with_file_line_and_field(row, message, tmp_path):
    file = jsonl(tmp_path / "a.jsonl", ROWS[0], row)
    with pytest.raises(UserError) as caught:
        list(own_texts.read_texts(file))
    assert str(caught.value).startswith(f"{file}: {message}")


def test_a_malformed_table_is_named_with_file_row_and_field(tmp_path):
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x", None]}), file)
    with pytest.raises(
        UserError, match=r"a.parquet: row 1: found fields \[\], expected 'messages'"
    ):
        list(own_texts.read_texts(file))
    pq.write_table(pa.table({"prompt": ["x"]}), file)
    with pytest.raises(UserError, match=r"found columns \['prompt'\], expected 'messages' or 'tex"):
        list(own_texts.read_texts(file))
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match="not a readable Parquet file"):
        list(own_texts.read_texts(file))
    with pytest.raises(UserError, match=r"a.csv: expected a file that ends in .jsonl or .parquet"):
        list(own_texts.read_texts(tmp_path / "a.csv"))


@pytest.mark.parametrize("characters", [10, 17, 100])
def test_long_texts_are_cut_between_lines_and_nothing_is_lost(characters):
    text = "short\nlines of\n" + "x" * 45 + "\nend"
    parts = list(own_texts.cut(text, characters))
    assert "".join(parts) == text
    assert all(0 < len(part) <= characters for part in parts)
    assert parts[0].endswith("\n") or characters == 100


def test_long_conversations_are_cut_where_the_user_speaks_again():
    system, asked = [{"role": "system", "content": "Be brief."}], CHAT[:1]
    chat = system + asked + 3 * CHAT
    first, two = (len(own_texts.lines_of(system + asked + n * CHAT)) for n in (1, 2))
    assert own_texts.lines_of(CHAT) == RENDERED
    assert list(own_texts.cut(chat, 1000)) == [chat]
    assert list(own_texts.cut(chat, two)) == [system + asked + 2 * CHAT, CHAT]
    assert list(own_texts.cut(chat, first)) == [system + asked + CHAT, CHAT, CHAT]
    # An exchange that is too long is cut as text.
    *lines, second, third = own_texts.cut(chat, len(RENDERED))
    assert "".join(lines) == own_texts.lines_of(system + asked + CHAT)
    assert max(map(len, lines)) <= len(RENDERED)
    assert [second, third] == [CHAT, CHAT]


def test_the_script_refuses_a_malformed_file_and_writes_nothing(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", *ROWS, {"text": None})
    result = make_corpus(tmp_path, {"source": "files", "files": [str(file)], "dialogues": 4}, file)
    assert result.returncode == 2
    message = f"error: {file}: line 3: text: found null, expected text that is not empty"
    assert result.stderr.splitlines() == [message]
    assert list(tmp_path.iterdir()) == [file]


def settings(**changes) -> RunConfig:
    own = fast_weights(read_while_writing=True).config
    episode = EpisodeConfig(step_mix=StepMix(plain=0, after=1), distractor_tokens=(20, 30))
    shape = {"steps": 3, "dialogues_per_step": 2, "episode": episode, **changes}
    return RunConfig(fast_weights=own, train=TrainConfig(**shape))


def test_next_token_training_needs_no_dialogue(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", *ROWS, *[{"text": f"Page {i} of many."} for i in range(9)])
    corpus = {"source": "files", "files": [str(file)], "dialogues": 0}
    assert make_corpus(tmp_path, corpus, file).returncode == 0
    rows = io.read_table(tmp_path / "passages.parquet", schemas.PASSAGES)
    assert rows["text"].tolist()[:2] == [RENDERED, "A plain page."]
    parts = (tmp_path / "dialogues.parquet", tmp_path / "passages.parquet")
    sampler = CorpusSampler.load(*parts, prompter(), 0, 4)
    run = settings(objective="lm", regime="frozen")
    (document,) = BatchMaker(sampler, run.train).batch(0, 0).texts
    known = {(*ids, prompter().end) for ids in prompter().ids(rows["text"].tolist())}
    for ids, written in zip(document.packed.input_ids, document.written, strict=True):
        assert tuple(ids[written].tolist()) in known
    torch.manual_seed(0)
    fw = fast_weights(read_while_writing=True)
    before = [p.clone() for p in fw.fast.parameters()]
    assert len(train(fw, sampler, run, Accelerator(cpu=True))) == 3
    assert not all(torch.equal(a, b) for a, b in zip(before, fw.fast.parameters(), strict=True))


def test_write_drop_read_training_uses_them_as_distractors_of_every_language(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", {"text": "zzzz zzzz zzzz"})
    corpus = {"source": "files", "files": [str(file)], "dialogues": 12}
    assert make_corpus(tmp_path, corpus, file).returncode == 0
    parts = (tmp_path / "dialogues.parquet", tmp_path / "passages.parquet")
    sampler = CorpusSampler.load(*parts, prompter(), 0, 4)
    run = settings(context_share=0.0, empty_share=0.0)
    (own,) = prompter().ids(["zzzz zzzz zzzz"])
    for step in range(4):
        *_, distractor = BatchMaker(sampler, run.train).batch(step, 0).texts
        assert set(distractor.packed.input_ids[distractor.written].tolist()) <= set(own)


CONFIGURATIONS = [
    ({"source": "files"}, "corpus: source 'files' needs files, one at least"),
    ({"source": "hub", "hub_id": "a/b"}, "corpus: source 'hub' needs hub_id and revision"),
    ({"files": ["x.jsonl"]}, "corpus: files are named, expected source 'files', found 'generator'"),
    ({"dialogues": 0}, "corpus: found dialogues 0, expected at least 1 with source 'generator'"),
    ({"source": "files", "files": ["no.jsonl"]}, "corpus.files.0: "),
    (
        {"source": "files", "files": ["tests/conftest.py"]},
        "tests/conftest.py: expected a file that ends in .jsonl or .parquet",
    ),
]


@pytest.mark.parametrize(("corpus", "message"), CONFIGURATIONS)
def test_the_configuration_refuses(corpus, message):
    with pytest.raises(UserError) as caught:
        config.load(merged({"corpus": corpus}), root=ROOT)
    assert message in str(caught.value)


def test_a_wrong_first_row_is_reported_before_any_job_runs(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", {"text": 3})
    with pytest.raises(UserError, match=r"corpus.files.0: .*a.jsonl: line 1: text: found 3"):
        config.load(merged({"corpus": {"source": "files", "files": [str(file)]}}), root=ROOT)


def test_write_drop_read_training_without_probes_is_refused(tmp_path):
    file = jsonl(tmp_path / "a.jsonl", *ROWS)
    own = {"corpus": {"source": "files", "files": [str(file)], "dialogues": 0}}
    local = {
        "base": {"source": "local"},
        "runs": {"write-drop-read": {"fast_weights": {"layers": [1]}}},
    }
    with pytest.raises(
        UserError, match=r"corpus.dialogues: found 0, expected at least 1: run 'write"
    ):
        config.load(merged(own, local), root=ROOT)
    alone = {"runs": {"write-drop-read": None}, "report": {"baseline": "b-mini"}}
    assert config.load(merged(own, local, alone), root=ROOT).corpus.dialogues == 0
    with pytest.raises(UserError, match="expected at least 1: the base is pretrained on them"):
        config.load(merged(own, alone), root=ROOT)


def test_a_hub_corpus_is_fetched_by_a_local_rule(clone: Clone):
    hub = {"source": "hub", "hub_id": "org/set", "revision": "0" * 40}
    result = clone.snakemake(
        *("--profile", "local", "--dry-run", "--configfile", "config/smoke.yaml"),
        *("--config", f"corpus={json.dumps(hub)}"),
    )
    assert result.returncode == 0, result.stdout
    assert {"fetch_corpus", "make_corpus"} <= set(jobs_of(result.stdout))
    assert f"Fetching the corpus into data/hub/datasets/org--set/{'0' * 40}" in result.stdout


def test_a_hub_corpus_without_a_commit_hash_is_refused(tmp_path):
    corpus = {"source": "hub", "hub_id": "org/set", "revision": "main"}
    command = [sys.executable, ROOT / "workflow" / "scripts" / "fetch_corpus.py", "--config"]
    command += [json.dumps({"corpus": corpus}), "--out", tmp_path / "out"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == (
        "error: corpus.revision: found 'main', expected a 40-digit commit hash\n"
    )
