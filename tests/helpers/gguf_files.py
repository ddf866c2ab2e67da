"""Small GGUF files, written tensor by tensor, and wheels that hold a file."""

import hashlib
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import LlamaConfig, LlamaForCausalLM

QUANTISED = ("ffn_down", "attn_q")  # the maps that are kept in blocks
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOKENS = ["<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet()), "th", "the"]
MERGES = ["t h", "th e"]
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
SHAPE = {"vocab_size": len(TOKENS), "hidden_size": 32, "intermediate_size": 64}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2}


def small_model(seed: int = 0) -> LlamaForCausalLM:
    """A Llama with random weights, for the tokenizer of these files."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        **SHAPE, **HEADS, max_position_embeddings=512, tie_word_embeddings=True, rms_norm_eps=1e-5
    )
    return LlamaForCausalLM(config).eval()


@torch.no_grad()
def write(
    path: Path,
    model: LlamaForCausalLM,
    chat: bool = True,
    architecture: str = "llama",
    blocks: str = "Q8_0",
) -> LlamaForCausalLM:
    """Write `model` as a GGUF file. Its quantised maps become what their blocks hold."""
    kind = gguf.GGMLQuantizationType[blocks]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("Small Llama")
    writer.add_license("mit")
    _add_shape(writer, model.config)
    _add_tokenizer(writer, chat)
    for name, weight in model.state_dict().items():
        if name != "lm_head.weight":
            _add_tensor(writer, name, weight, model.config, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _add_shape(writer: gguf.GGUFWriter, config: LlamaConfig) -> None:
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _add_tokenizer(writer: gguf.GGUFWriter, chat: bool) -> None:
    control = gguf.TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(TOKENS)
    writer.add_token_types([control, control, *[gguf.TokenType.NORMAL] * (len(TOKENS) - 2)])
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(1)
    if chat:
        writer.add_chat_template(TEMPLATE)


def _add_tensor(
    writer: gguf.GGUFWriter,
    name: str,
    weight: torch.Tensor,
    config: LlamaConfig,
    kind: gguf.GGMLQuantizationType,
) -> None:
    place = name.removesuffix(".weight").removeprefix("model.").split(".", 2)
    if place[0] != "layers":
        short = {"embed_tokens": "token_embd", "norm": "output_norm"}[place[0]]
        writer.add_tensor(f"{short}.weight", weight.numpy())
        return
    short = NAMES[place[2]]
    full = f"blk.{place[1]}.{short}.weight"
    if short not in QUANTISED:
        writer.add_tensor(full, _interleaved(weight, short, config).numpy())
        return
    blocks = gguf.quants.quantize(weight.numpy(), kind)
    held = torch.from_numpy(gguf.quants.dequantize(blocks, kind).copy())
    assert not torch.equal(held, weight)  # else the test would not see the rounding
    weight.copy_(held)
    blocks = gguf.quants.quantize(_interleaved(held, short, config).numpy(), kind)
    writer.add_tensor(full, np.ascontiguousarray(blocks), raw_dtype=kind)


def _interleaved(weight: torch.Tensor, short: str, config: LlamaConfig) -> torch.Tensor:
    """Rows of queries and keys in GGUF's order: the two halves of a head take turns."""
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(short)
    if heads is None:
        return weight
    halves = weight.reshape(heads, 2, -1, weight.shape[1])
    return halves.swapaxes(1, 2).reshape(weight.shape).contiguous()


def wheel(folder: Path, name: str, files: dict[str, bytes], version: str = "1.0") -> Path:
    """A wheel that pip accepts, with these files in it and a licence."""
    stem = name.replace("-", "_")
    notes = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: MIT\n"
    notes += "Project-URL: Homepage, https://example.org/model\n"
    tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    path = folder / f"{stem}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
        archive.writestr(f"{stem}-{version}.dist-info/METADATA", notes)
        archive.writestr(f"{stem}-{version}.dist-info/WHEEL", tags)
        archive.writestr(f"{stem}-{version}.dist-info/RECORD", "")
    return path


def sha256(content: bytes) -> str:
    """The digest in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def the_only_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip look for packages in `folder` and nowhere else."""
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
