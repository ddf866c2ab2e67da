"""GGUF files: the converted model is the model that was written, and bad files are refused."""

import hashlib
import json
import sys
from pathlib import Path

import gguf
import pytest
import torch
from safetensors.torch import load_file

import gguf_files
from ttt_memory.conversation.models.gguf_file import convert
from ttt_memory.conversation.models.loading import load_model
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.errors import UserError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    gguf_files.write(tmp_path / "small.gguf", gguf_files.small_model())
    return tmp_path / "small.gguf"


def contents(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


# transformers knows the size of the first kind of blocks only, and reads both.
KINDS = ("Q8_0", "Q5_0")


@pytest.mark.parametrize("blocks", KINDS)
def test_the_converted_model_is_the_one_in_the_file(tmp_path: Path, blocks: str) -> None:
    written = gguf_files.write(tmp_path / "a.gguf", gguf_files.small_model(), blocks=blocks)
    facts = convert(tmp_path / "a.gguf", tmp_path / "out")
    assert facts == {
        "model": "Small Llama",
        "organization": None,
        "license": "mit",
        "architecture": "llama",
    }
    loaded = load_model(tmp_path / "out")
    for name, weight in written.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name
    ids = torch.randint(len(gguf_files.TOKENS), (2, 20))
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, written(ids).logits)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["tie_word_embeddings"]


def test_the_tokenizer_comes_with_its_template_and_end_token(file: Path, tmp_path: Path) -> None:
    convert(file, tmp_path / "out")
    prompter = Prompter.load(tmp_path / "out")
    assert prompter.template.from_chat
    assert prompter.end == 1
    (ids,) = prompter.ids(["the cat 12"])
    assert [gguf_files.TOKENS[token] for token in ids] == ["the", *"Ġcat", *"Ġ12"]
    assert prompter.tokenizer.decode(ids) == "the cat 12"


def test_a_file_without_a_template_gives_raw_prompts(tmp_path: Path) -> None:
    gguf_files.write(tmp_path / "a.gguf", gguf_files.small_model(), chat=False)
    convert(tmp_path / "a.gguf", tmp_path / "out")
    assert not Prompter.load(tmp_path / "out").template.from_chat


def test_the_same_file_gives_the_same_bytes(file: Path, tmp_path: Path) -> None:
    convert(file, tmp_path / "one")
    file.rename(tmp_path / "renamed.gguf")
    convert(tmp_path / "renamed.gguf", tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert "model.safetensors" in contents(tmp_path / "one")


def test_bfloat16_rounds_the_dequantised_weights(file: Path, tmp_path: Path) -> None:
    convert(file, tmp_path / "whole")
    convert(file, tmp_path / "half", "bfloat16")
    whole, half = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "half"))
    for name, weight in whole.items():
        assert torch.equal(half[name], weight.to(torch.bfloat16)), name


def refused(file: Path, message: str) -> None:
    with pytest.raises(UserError, match=message):
        convert(file, file.parent / "out")
    assert not (file.parent / "out").exists()


def test_files_that_are_no_gguf_files_are_refused(file: Path, tmp_path: Path) -> None:
    refused(tmp_path / "none.gguf", "none.gguf: no such file, expected a GGUF file")
    (tmp_path / "text.gguf").write_text("not a model")
    refused(tmp_path / "text.gguf", r"begins with b'not ', expected a GGUF file")
    file.rename(tmp_path / "model.bin")
    refused(tmp_path / "model.bin", r"a name that ends in \.gguf")


def test_a_pickle_is_refused_unopened(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "a.gguf")
    refused(tmp_path / "a.gguf", "expected a GGUF file")


@pytest.mark.parametrize("change", [-1000, 1000])
def test_a_file_of_another_size_is_refused(file: Path, change: int) -> None:
    size = file.stat().st_size
    whole = file.read_bytes()
    file.write_bytes((whole + bytes(1000))[: size + change])
    refused(file, f"found {size + change} bytes, expected {size} by its header")


def test_a_file_with_other_blocks_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    gguf_files.write(file, gguf_files.small_model(), blocks="Q5_0")
    file.write_bytes(file.read_bytes()[:-1000])
    refused(file, "cannot read this llama model")


def test_a_file_without_tensors_is_refused(file: Path) -> None:
    """A vocabulary alone."""
    reader = gguf.GGUFReader(file)
    first = min(tensor.field.offset for tensor in reader.tensors)
    content = bytearray(file.read_bytes()[:first])
    content[8:16] = (0).to_bytes(8, "little")  # the number of tensors
    file.write_bytes(bytes(content) + bytes(64))
    refused(file, "holds no tensors; expected a model, not a vocabulary alone")


def test_a_damaged_header_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])
    refused(file, "its GGUF header is not readable")


def test_an_architecture_that_is_not_supported(tmp_path: Path) -> None:
    gguf_files.write(tmp_path / "a.gguf", gguf_files.small_model(), architecture="strange")
    refused(tmp_path / "a.gguf", r"cannot read this strange model .*strange is not supported")


def test_a_tensor_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transformers would fill it at random."""
    whole = gguf.GGUFWriter.add_tensor

    def without_one(writer, name, *arguments, **options):
        if name != "blk.1.ffn_up.weight":
            whole(writer, name, *arguments, **options)

    monkeypatch.setattr(gguf.GGUFWriter, "add_tensor", without_one)
    gguf_files.write(tmp_path / "a.gguf", gguf_files.small_model())
    refused(tmp_path / "a.gguf", r"its weights lack model\.layers\.1\.mlp\.up_proj\.weight \(of 1")


def test_reading_needs_the_package_gguf(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    refused(file, "cannot read this llama model")
