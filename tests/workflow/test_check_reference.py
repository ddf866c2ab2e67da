"""Agreement with the published code's numbers, and with folders of our own in that layout."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fast_weights_models import DenseLoop, memory, tiny, tokens

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "workflow" / "scripts" / "check_reference.py"
REFERENCE = ROOT.parent / "shared" / "reference" / "in_place_ttt"
TITANS = REFERENCE.with_name("titans")


@pytest.fixture
def check(monkeypatch, capsys):
    """Run the script on a folder: exit status, standard output and error."""

    def run(folder: Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["check_reference.py", str(folder)])
        with pytest.raises(SystemExit) as exit_:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        return int(exit_.value.code), *capsys.readouterr()

    return run


@pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"the published numbers are not at {REFERENCE}")
def test_agrees_with_the_published_code(check):
    """All sixteen tensors within 1e-4, the stream in two parts included."""
    status, output, error = check(REFERENCE)
    assert status == 0, output + error
    assert output.count("agrees") == 16


@pytest.mark.skipif(not TITANS.is_dir(), reason=f"the published numbers are not at {TITANS}")
def test_agrees_with_the_published_forecaster(check):
    """Four steps of two memories, two passes of the forecaster and its memory after the first."""
    status, output, error = check(TITANS)
    assert status == 0, output + error
    assert output.count("agrees") == 4 * (2 + 2) + 4 * (2 + 4) + 2 + 2 * 4
    assert "all agree" in output


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Numbers of the dense loop, for sizes, chunk, width and target unlike the published ones."""
    folder = tmp_path_factory.mktemp("reference")
    ids, probe = tokens(23), tokens(9, seed=1)
    expected = {"conversation_ids": ids, "probe_ids": probe}
    sizes = {"rope_theta": 5e4, "tie_word_embeddings": True}
    for variant, target in (("proj", "input_embed"), ("noproj", "hidden_states")):
        model = tiny(**sizes)
        fw = memory(
            model,
            chunk=5,
            lr=0.1,
            learn_lr=False,
            conv_width=3,
            projection=variant == "proj",
            target=target,
            key_norm="none",
            flush=False,
            read_while_writing=True,
        )
        loop = DenseLoop(fw)
        hidden, dw = loop.write(ids, torch.ones(23, dtype=torch.float64))
        zero = {i: 0 * w for i, w in dw.items()}
        found = {
            "conversation_logits": model.lm_head(hidden),
            "streamed_7_1_15_logits": model.lm_head(hidden),
            "probe_logits_kv_stripped": model.lm_head(loop.read(probe, dw)),
            "probe_logits_no_memory": model.lm_head(loop.read(probe, zero)),
        }
        for i in dw:
            found[f"fast_weight.layer{i}"] = fw.base_weight(i) + dw[i]
            found[f"streamed_7_1_15_fast_weight.layer{i}"] = fw.base_weight(i) + dw[i]
        expected |= {f"{target}.{variant}.{name}": t for name, t in found.items()}
        weights = {k: v for k, v in model.state_dict().items() if k != "lm_head.weight"}
        for i, fast in fw.fast.items():
            own = {"ttt_conv": fast.conv[:, None], "ttt_proj": fast.proj}
            for name, t in own.items():
                if t is not None:
                    weights[f"model.layers.{i}.mlp.{name}.weight"] = t
        write(folder / f"weights.{variant}.safetensors", weights)
    write(folder / "expected.safetensors", expected)
    keys = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "head_dim")
    keys += ("num_attention_heads", "num_key_value_heads")
    config = {key: getattr(model.config, key) for key in keys} | sizes
    ttt = {"layers": [0, 2], "chunk": 5, "lr": 0.1, "conv_kernel": 3}
    (folder / "config.json").write_text(json.dumps({"config": config, "ttt": ttt}))
    return folder


def write(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Save as the published code does, in float32."""
    tensors = {k: v.detach() if v.is_floating_point() else v for k, v in tensors.items()}
    save_file(
        {k: v.float().contiguous() if v.is_floating_point() else v for k, v in tensors.items()},
        path,
    )


def test_other_sizes_and_targets(check, folder):
    """The layout with other numbers in it, made by the oracle."""
    status, output, error = check(folder)
    assert status == 0, output + error
    assert output.count("agrees") == 16
    assert "input_embed.proj.streamed_7_1_15_fast_weight.layer2" in output


def changed(folder: Path, tmp_path: Path, **tensors: torch.Tensor) -> Path:
    """A copy of the folder with other expected tensors."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    expected = load_file(tmp_path / "expected.safetensors")
    save_file(expected | tensors, tmp_path / "expected.safetensors")
    return tmp_path


def test_a_difference_is_found(check, folder, tmp_path):
    """One number off by 2e-4 in one tensor: exit status 1, that tensor named, and no other."""
    name = "hidden_states.noproj.fast_weight.layer2"
    tensor = load_file(folder / "expected.safetensors")[name]
    tensor[3, 4] += 2e-4
    status, output, _ = check(changed(folder, tmp_path, **{name: tensor}))
    assert status == 1
    (line,) = [line for line in output.splitlines() if "DIFFERS" in line]
    assert line.endswith(name)


def test_bad_folders(check, folder, tmp_path):
    """Nothing there, a tensor of no known name, a weight that is missing."""
    cases = {"nowhere": tmp_path / "nowhere"}
    unknown = tmp_path / "unknown"
    unknown.mkdir()
    cases["input_embed.proj.entropy"] = changed(
        folder, unknown, **{"input_embed.proj.entropy": torch.zeros(1)}
    )
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    weights = load_file(changed(folder, lacking) / "weights.proj.safetensors")
    del weights["model.layers.2.mlp.ttt_conv.weight"]
    save_file(weights, lacking / "weights.proj.safetensors")
    cases["model.layers.2.mlp.ttt_conv.weight"] = lacking
    for named, case in cases.items():
        status, _, error = check(case)
        assert status == 2
        assert named in error
        assert len(error.splitlines()) == 1, error
