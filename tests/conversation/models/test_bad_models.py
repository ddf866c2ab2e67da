"""Models that cannot be studied: the real scripts end with one clear line, before any work."""

import json
import runpy
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from clone import ROOT
from conversation_models import model, passages, prompter, samples
from fast_weights_models import tiny
from ttt_memory import io
from ttt_memory.benchmark import schemas as benchmark_schemas
from ttt_memory.benchmark.files import write_benchmark
from ttt_memory.conversation import schemas as conversation_schemas
from ttt_memory.fast_weights import FastWeightsConfig, inject, save
from ttt_memory.scoring import schemas as scoring_schemas
from ttt_memory.study import devices

FAST = {"layers": [0, 1], "chunk": 8}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A small, valid model with a run, a corpus and a benchmark."""
    folder = tmp_path_factory.mktemp("world")
    model().save_pretrained(folder / "base")
    prompter().tokenizer.save_pretrained(folder / "base")
    save(inject(model(), FastWeightsConfig(**FAST)), folder / "run" / "fast_weights")
    write_benchmark(folder / "dialogues.parquet", samples(), {})
    write_benchmark(folder / "benchmark.parquet", samples()[:4], {})
    rows = [
        {"passage_id": f"{language}-{i}", "language": language, "topic": "", "text": text}
        for language, texts in passages().items()
        for i, text in enumerate(texts)
    ]
    io.write_table(folder / "passages.parquet", rows, benchmark_schemas.PASSAGES, {})
    return folder


@pytest.fixture
def base(world, tmp_path) -> Path:
    """A copy of the valid model, for a test to spoil."""
    return Path(shutil.copytree(world / "base", tmp_path / "base"))


class Script:
    """Runs the real scripts in this process and returns the last line of their stderr."""

    def __init__(self, world: Path, out: Path, monkeypatch, capsys):
        self.world, self.out, self.monkeypatch, self.capsys = world, out, monkeypatch, capsys

    def train(self, base: Path, train: dict | None = None, **settings: object) -> str:
        """Train on `base`."""
        run = {"fast_weights": FAST, "train": {"steps": 1, "dialogues_per_step": 2} | (train or {})}
        files = {"corpus": "dialogues.parquet", "passages": "passages.parquet"}
        files = [part for name, f in files.items() for part in (f"--{name}", self.world / f)]
        config = {"base": settings, "runs": {"write-drop-read": run}}
        outputs = ["--out", self.out / "model", "--curve", self.out / "curve.parquet"]
        return self._run(
            "train",
            config,
            "--run",
            "write-drop-read",
            "--seed",
            0,
            "--base",
            base,
            *files,
            *outputs,
        )

    def recall(self, base: Path, condition: str, recall: dict, **settings: object) -> str:
        """Ask the run of `world` under a condition."""
        given = {"run": "write-drop-read", "seed": 0, "condition": condition}
        given |= {"model": self.world / "run", "out": self.out / "predictions.parquet"}
        return self.on_run("recall", base, recall, given, **settings)

    def on_run(self, name: str, base: Path, recall: dict, given: dict, **settings: object) -> str:
        """Run a script that uses a trained run."""
        given = {"base": base, "benchmark": self.world / "benchmark.parquet"} | given
        config = {"base": settings, "recall": {"device": "cpu"} | recall}
        return self._run(name, config, *(x for k, v in given.items() for x in (f"--{k}", v)))

    def _run(self, name: str, config: dict, *arguments: object) -> str:
        script = ROOT / "workflow" / "scripts" / f"{name}.py"
        line = [str(script), "--config", json.dumps(config), *map(str, arguments)]
        self.monkeypatch.setattr("sys.argv", line)
        code = 0
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as end:
            code = end.code
        assert code == 0 or (code == 2 and not list(self.out.iterdir()))
        (*_, last) = self.capsys.readouterr().err.strip().splitlines() or [""]
        return last


@pytest.fixture
def script(world, tmp_path, monkeypatch, capsys) -> Script:
    (tmp_path / "out").mkdir()
    return Script(world, tmp_path / "out", monkeypatch, capsys)


def test_the_valid_model_trains_and_answers(script, base):
    """So each refusal below has its cause in what the test spoilt."""
    script.train(base)
    assert (script.out / "curve.parquet").is_file()
    script.recall(base, "B", {"max_new_tokens": 2})
    rows = io.read_table(script.out / "predictions.parquet", scoring_schemas.PREDICTIONS)
    assert rows["written"].str.len().min() > 0


def test_another_family_with_a_chat_template_goes_through_every_script(script, base):
    """Mistral in bfloat16 with a window, eager attention and gradient checkpointing."""
    for file in ("config.json", "model.safetensors", "generation_config.json"):
        (base / file).unlink()
    size = len(prompter().tokenizer)
    tiny("mistral", torch.float32, vocab_size=size, sliding_window=16).save_pretrained(base)
    turns = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
    (base / "chat_template.jinja").write_text(turns)
    how = {"attention": "eager", "dtype": "bfloat16"}
    script.train(base, {"steps": 2, "gradient_checkpointing": True}, **how)
    assert (script.out / "curve.parquet").is_file()
    given, asked = {"model": script.out / "model"}, {"sweep_split": "train", "max_new_tokens": 2}
    script.on_run("sanity", base, {}, given | {"out": script.out / "sanity.json"}, **how)
    checks = json.loads((script.out / "sanity.json").read_text())
    assert checks["packed_equals_alone"]["passed"]
    given |= {"run": "write-drop-read", "seed": 0}
    out = script.out / "diagnostics.parquet"
    script.on_run("diagnose", base, asked, given | {"out": out}, **how)
    assert len(io.read_table(out, conversation_schemas.DIAGNOSTICS))
    for condition in ("A", "B", "N"):
        out = script.out / f"{condition}.parquet"
        given |= {"condition": condition, "out": out}
        script.on_run("recall", base, asked, given, **how)
        rows = io.read_table(out, scoring_schemas.PREDICTIONS)
        assert rows["prompt"].str.startswith("user: ").all()
        assert rows["prompt"].str.endswith("assistant:").all()


def test_a_model_without_gated_mlps(script, base):
    for file in ("config.json", "model.safetensors", "generation_config.json"):
        (base / file).unlink()
    GPT2LMHeadModel(
        GPT2Config(n_layer=2, n_embd=8, n_head=2, vocab_size=99, bos_token_id=0, eos_token_id=0)
    ).save_pretrained(base)
    line = script.train(base)
    assert "GPT2LMHeadModel has no gated MLPs" in line
    assert "expected a decoder whose layers hold gate_proj, up_proj, down_proj" in line


def test_a_tokenizer_without_an_end_token(script, base):
    path = base / "tokenizer_config.json"
    kept = {k: v for k, v in json.loads(path.read_text()).items() if k != "eos_token"}
    path.write_text(json.dumps(kept))
    assert "the tokenizer has no end token (eos_token)" in script.train(base)
    assert f"error: {base}: " in script.recall(base, "B", {})


def test_a_pickle_checkpoint_is_refused_unopened(script, base, tmp_path):
    (base / "model.safetensors").unlink()
    mark = tmp_path / "opened"
    torch.save(Opens(mark), base / "pytorch_model.bin")
    assert "pickle checkpoints are refused" in script.train(base)
    assert "pickle checkpoints are refused" in script.recall(base, "B", {})
    assert not mark.exists()


class Opens:
    """An object that touches a file when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_truncated_weights_and_a_missing_tensor(script, base):
    """Transformers would fill the missing tensor at random."""
    file = base / "model.safetensors"
    whole = load_file(file)
    file.write_bytes(file.read_bytes()[:-1000])
    assert "cannot load the model" in script.train(base)
    name = "model.layers.1.mlp.down_proj.weight"
    save_file({n: t for n, t in whole.items() if n != name}, file, {"format": "pt"})
    assert f"its weights lack {name} (of 1 in all)" in script.train(base)
    assert f"its weights lack {name} (of 1 in all)" in script.recall(base, "B", {})


def test_code_in_a_model_folder_is_not_run(script, base, tmp_path):
    mark = tmp_path / "ran"
    (base / "own.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    config = json.loads((base / "config.json").read_text())
    config |= {
        "model_type": "theirs",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
    }
    (base / "config.json").write_text(json.dumps(config))
    line = script.train(base)
    assert line.startswith(f"error: {base}: ")
    assert not mark.exists()


def test_a_missing_folder_is_not_looked_up_on_the_hub(script, tmp_path):
    assert f"{tmp_path / 'none'}: no such model folder" in script.train(tmp_path / "none")


@pytest.mark.parametrize(
    ("settings", "train"), [({"dtype": "bfloat16"}, {}), ({}, {"mixed_precision": "bf16"})]
)
def test_bfloat16_on_a_device_without_it(script, base, monkeypatch, settings, train):
    """A GPU older than Ampere, which the test only pretends to PyTorch."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(devices, "_picked", [0])
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    line = script.train(base, train, **settings)
    key = "base.dtype: found 'bfloat16'" if settings else "train.mixed_precision: found 'bf16'"
    assert line == f"error: {key}, but Tesla T4 has no bfloat16"


def test_attention_that_is_not_available(script, base):
    line = script.train(base, attention="flash_attention_2")
    assert line == "error: base: attention 'flash_attention_2' needs dtype 'bfloat16'"
    line = script.recall(base, "B", {}, attention="flash_attention_2", dtype="bfloat16")
    assert line == "error: base.attention: found 'flash_attention_2', expected another on a cpu"
    assert "base.attention: found \"linear\", expected 'auto'" in script.train(
        base, attention="linear"
    )


def with_positions(base: Path, positions: int) -> None:
    path = base / "config.json"
    config = json.loads(path.read_text()) | {"max_position_embeddings": positions}
    path.write_text(json.dumps(config))


def test_a_dialogue_longer_than_the_models_positions(script, base, world):
    longest = max(len(ids) for ids in prompter().ids([s.sessions[0] for s in samples()]))
    with_positions(base, longest)
    line = script.train(base)
    assert "the dialogue with a question and its answer has" in line
    assert line.endswith(f"tokens, expected at most {longest}, the positions of the base model")
    with_positions(base, 64)
    line = script.recall(base, "A", {"segment_tokens": 16, "max_new_tokens": 2})
    assert "condition A, sample" in line
    assert line.endswith("expected at most 64, the positions of the base model")
    assert "a segment or question has" in script.recall(base, "B", {"max_new_tokens": 2})
    short = {"segment_tokens": 16, "max_new_tokens": 2}
    model = {"model": world / "run"}
    line = script.on_run("sanity", base, short, model | {"out": script.out / "sanity.json"})
    assert line.endswith("sanity check failed: parameters_moved")  # it was not trained
    script.recall(base, "B", short)
    assert (script.out / "predictions.parquet").is_file()
    given = model | {"run": "write-drop-read", "seed": 0, "out": script.out / "diagnostics.parquet"}
    script.on_run("diagnose", base, short | {"sweep_split": "train"}, given)
    rows = io.read_table(script.out / "diagnostics.parquet", conversation_schemas.DIAGNOSTICS)
    assert (rows["statistic"] == "next_token_loss").any()


def test_distractors_longer_than_the_models_positions(script, base):
    with_positions(base, 1024)
    episode = {"step_mix": {"plain": 0, "after": 1}, "distractor_tokens": [2000, 2000]}
    line = script.train(base, {"episode": episode, "context_share": 1.0})
    assert "the base model 1024; expected smaller values of episode.distractor" in line


def test_a_chat_template_without_turns(script, base):
    (base / "chat_template.jinja").write_text("{{ raise_exception('no chats here') }}")
    message = script.train(base)
    assert "its chat template cannot render the messages of user, assistant" in message
    assert "(no chats here)" in message
    script.train(base, chat_template="none")
    assert (script.out / "curve.parquet").is_file()
