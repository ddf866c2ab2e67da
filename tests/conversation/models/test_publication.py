"""A published memory: half the bytes, the same base, the same answers but for rounding."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from conversation_models import model, prompter, sampler, samples
from scripts import run_script
from ttt_memory.chat.conversation import open_run
from ttt_memory.conversation.config.training import LoraConfig, RunConfig, TrainConfig, memory_of
from ttt_memory.conversation.models.loading import load_model
from ttt_memory.conversation.models.publication import publish
from ttt_memory.conversation.models.trained_run import load_run, save_run, to_train, trained_part
from ttt_memory.conversation.train.train_run import build_accelerator, train
from ttt_memory.errors import UserError
from ttt_memory.fast_weights import FastWeightsConfig, inject

CPU = torch.device("cpu")
FAST = FastWeightsConfig(layers=(0,), chunk=8, gate="top")
TRAIN = TrainConfig(regime="lora", lora=LoraConfig(rank=2), steps=2, dialogues_per_step=4)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    model().save_pretrained(folder)
    prompter().tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run with adapter and fast weights."""
    own = load_model(base)
    part = trained_part(own, TRAIN)
    fw = inject(own, FAST)
    train(fw, sampler(), RunConfig(fast_weights=FAST, train=TRAIN), build_accelerator("no"))
    folder = tmp_path_factory.mktemp("run") / "model"
    save_run(fw, folder, part, prompter().tokenizer)
    return folder


def logits(fw) -> torch.Tensor:
    """What a read after the first sample was written says of the first tokens of that sample."""
    ids = torch.tensor(prompter().ids([samples()[0].sessions[0]]))
    with torch.no_grad():
        state = fw.write(input_ids=ids).state
        return fw.read(state, input_ids=ids[:, :9]).logits


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted(folder.rglob("*.safetensors"))
    assert len(files) == 2
    return {f"{file.stem}.{name}": t for file in files for name, t in load_file(file).items()}


def test_the_copy_holds_the_rounded_tensors_and_answers_alike(base, folder, tmp_path):
    publish(folder, tmp_path / "small")
    whole, small = tensors(folder), tensors(tmp_path / "small")
    assert whole.keys() == small.keys()
    for name, tensor in whole.items():
        assert torch.equal(small[name], tensor.to(torch.bfloat16)), name
    before, after = load_run(folder, base, CPU), load_run(tmp_path / "small", base, CPU)
    assert {p.dtype for p in after.parameters()} == {torch.float32}
    assert not torch.equal(logits(before), logits(after))
    assert torch.allclose(logits(before), logits(after), atol=0.05)


def test_it_belongs_to_the_same_base_alone(folder, tmp_path):
    publish(folder, tmp_path / "small")
    model(1).save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match="an adapter of another model"):
        load_run(tmp_path / "small", tmp_path / "other", CPU)


def test_a_whole_base_and_no_run_are_refused(folder, tmp_path):
    (tmp_path / "joint" / "base").mkdir(parents=True)
    with pytest.raises(UserError, match="found a trained base, expected regime lora or frozen"):
        publish(tmp_path / "joint", tmp_path / "small")
    with pytest.raises(UserError, match="nothing/fast_weights: not found"):
        publish(tmp_path / "nothing", tmp_path / "small")
    shutil.copytree(folder, tmp_path / "damaged")
    (tmp_path / "damaged/adapter/adapter_model.safetensors").write_bytes(b"junk")
    with pytest.raises(UserError, match="not an adapter in peft's format"):
        publish(tmp_path / "damaged", tmp_path / "small")
    assert not (tmp_path / "small").exists()


def test_a_published_memory_is_trained_further(base, folder, tmp_path):
    """It begins with the rounded tensors; a memory of another regime, base or shape is refused."""
    publish(folder, tmp_path / "small")
    more = TRAIN.model_copy(update={"start": str(tmp_path / "small")})
    run = RunConfig(fast_weights=FAST, train=more)
    fw, part = to_train(run, 5, base, "float32", "auto")
    first = load_run(tmp_path / "small", base, CPU)
    for (name, begun), (_, published) in zip(
        fw.named_parameters(), first.named_parameters(), strict=True
    ):
        assert torch.equal(begun, published), name
    train(fw, sampler(), run, build_accelerator("no"))
    save_run(fw, tmp_path / "more", part, prompter().tokenizer)
    assert tensors(tmp_path / "more").keys() == tensors(folder).keys()
    assert not torch.equal(logits(load_run(tmp_path / "more", base, CPU)), logits(first))
    for changes, told in (
        ({"regime": "frozen"}, "holds a folder 'adapter', expected a memory of regime frozen"),
        ({"regime": "joint"}, "holds no folder 'base', expected a memory of regime joint"),
        ({"lora": LoraConfig(rank=3)}, r"\(2, 64\), expected \(3, 64\)"),
    ):
        other = RunConfig(fast_weights=FAST, train=more.model_copy(update=changes))
        with pytest.raises(UserError, match=told):
            to_train(other, 0, base, "float32", "auto")
    model(1).save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match="an adapter of another model"):
        to_train(run, 0, tmp_path / "other", "float32", "auto")


def test_the_chat_finds_the_base_that_the_adapter_names(base, folder, tmp_path):
    publish(folder, tmp_path / "small")
    fw, _ = open_run(tmp_path / "small", None, CPU)
    assert torch.equal(logits(fw), logits(load_run(tmp_path / "small", base, CPU)))
    origin = tmp_path / "small" / "adapter" / "base.json"
    origin.write_text(json.dumps(json.loads(origin.read_text()) | {"name": "gone/model"}))
    with pytest.raises(UserError, match=r"--base \(it was trained on gone/model\)"):
        open_run(tmp_path / "small", None, CPU)


def test_of_several_seeds_each_goes_on_from_its_own(folder, tmp_path):
    for seed in (0, 1):
        publish(folder, tmp_path / "all" / str(seed))
    assert memory_of(tmp_path / "all", 1) == tmp_path / "all" / "1"
    assert memory_of(tmp_path / "all" / "1", 0) == tmp_path / "all" / "1"


def test_the_command_says_how_large_the_copy_is(folder, tmp_path):
    asked = ["--model", folder, "--out", tmp_path / "small"]
    done = run_script("publish", *asked)
    assert done.stdout == f"{tmp_path / 'small'}: 0.0 MB\n"
    done = run_script("publish", *asked, "--curve", tmp_path / "no.parquet")
    assert done.returncode == 2
    assert "no.parquet: found no file, expected a training curve" in done.stderr
