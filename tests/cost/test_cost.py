"""The cost model against what PyTorch counts and against sizes really held."""

from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import DynamicCache

from conversation_models import prompter, samples
from fast_weights_models import memory, settings, tiny, tokens
from scripts import run_script
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.cost import flop_counter
from ttt_memory.cost.data_sheets import QWEN3_8B, SHAPES
from ttt_memory.cost.estimate import Benchmark, Estimate, of_samples
from ttt_memory.cost.model import Decoder, FastWeightsCost
from ttt_memory.cost.roofline import Ceilings
from ttt_memory.fast_weights import inject
from ttt_memory.fast_weights.rules.base import NOTHING

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"hidden_size": 32, "intermediate_size": 48, "head_dim": 8, "num_attention_heads": 4}
CEILINGS = Ceilings({"float32": 1e9, "bfloat16": 1e10}, 1e9)
RULES = [
    {},
    {"update": "delta", "gate": "top", "target": "input_embed"},
    {"update": "delta", "chunk": 64},
    {"update": "mesa", "gate": "top"},
    {"read_while_writing": True},
    {"read_while_writing": True, "update": "delta", "gate": "layer"},
    {"read_while_writing": True, "update": "mesa", "chunk": 7},
    {"projection": False, "conv_width": 1, "init": "published", "decay": 0.9},
]


def both(**rule) -> tuple:
    """A memory in a small float32 model, and its cost model."""
    model = tiny(dtype=torch.float32, **SIZES)
    fw = inject(model, settings(**rule))
    return fw, FastWeightsCost(Decoder.of(model.config, "float32"), fw.config)


def counted(function) -> int:
    with torch.no_grad():
        return flop_counter.count(function).flops


@pytest.mark.parametrize(("length", "past"), [(1, 0), (9, 0), (9, 5)])
def test_forward(length, past):
    """Exactly what is counted; at least the bytes of the model move, fewer than all that did."""
    fw, cost = both()
    cache = DynamicCache()
    if past:
        fw.plain(input_ids=tokens(2, past), past_key_values=cache, use_cache=True)
    ids = tokens(2, length)
    call = partial(fw.plain, input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    expected = cost.decoder.forward(2, length, past, logits=1)
    with torch.no_grad():
        found = flop_counter.count(call)
    assert expected.flops == found.flops
    assert expected.bytes < found.bytes


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("lengths", [(3,), (12,), (40,), (150,), (9, 12), (30, 11, 90)])
def test_write_and_read(rule, lengths):
    """Exactly what is counted, factored and folded, one text after another; states to the byte."""
    fw, cost = both(**rule)
    state, held = None, NOTHING
    for length in lengths:
        ids, before = tokens(2, length), state
        work = cost.decoder.forward(2, length) + cost.write(2, length, held)
        assert work.flops == counted(partial(fw.write, ids, state=before))
        with torch.no_grad():
            state = fw.write(ids, state=before).state
        held = cost.sizes.held(length, held)
        counters = state.pending.nbytes + state.written.nbytes + state.open.nbytes
        assert 2 * cost.sizes.state_bytes(held) == state.nbytes - counters
        work, solved = cost.make_readable(2, held)
        assert work.flops == counted(state.readable)
        assert 2 * cost.sizes.state_bytes(solved) == state.readable().nbytes - counters
    ids = tokens(2, 7)
    read = cost.decoder.forward(2, 7, logits=7) + cost.read(2, 7, solved)
    assert read.flops == counted(partial(fw.read, state, input_ids=ids, use_cache=False))


@pytest.mark.parametrize("gate", ["none", "top"])
def test_sizes_held(gate):
    """Parameters of the memory exactly, of the model but for its norms, and the KV cache."""
    fw, cost = both(gate=gate)
    assert cost.parameters() == sum(p.numel() for p in fw.fast_parameters())
    matrices = sum(p.numel() for p in fw.model.parameters() if p.ndim == 2)
    assert cost.decoder.matrix_parameters == matrices
    cache = DynamicCache()
    fw.plain(input_ids=tokens(2, 9), past_key_values=cache, use_cache=True)
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert cost.decoder.cache_bytes(2 * 9) == held


@pytest.mark.parametrize("update", ["delta", "mesa"])
@pytest.mark.parametrize("joint", [False, True])
def test_training_step(joint, update):
    """Within a fifth of what is counted, forward and backward."""
    fw = memory(tiny(dtype=torch.float32, **SIZES), update=update)
    cost = FastWeightsCost(Decoder.of(fw.model.config, "float32"), fw.config)
    bench = Benchmark(probes=2, question=20, answer=20)
    fw.model.requires_grad_(joint)
    ids, asked = tokens(2, 30), tokens(2, 40)

    def step() -> None:
        state = fw.write(ids).state
        fw.read(state, input_ids=asked, use_cache=False).logits.square().mean().backward()

    expected = Estimate(cost, bench, CEILINGS).step(2, 30, joint).work.flops
    assert flop_counter.count(step).flops == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("kind", ["flash", "efficient", "cudnn"])
def test_attention_with_shared_heads(kind):
    """On a GPU keys and values are not repeated for the query heads that share them."""
    op = getattr(torch.ops.aten, f"_scaled_dot_product_{kind}_attention")
    q, kv = (2, 8, 5, 16), (2, 2, 7, 16)
    assert flop_counter._FORMULAS[op](q, kv, kv) == 2 * 2 * 2 * 8 * 5 * 7 * 16
    backward = getattr(torch.ops.aten, f"_scaled_dot_product_{kind}_attention_backward")
    assert flop_counter._FORMULAS[backward](q, q, kv, kv) == 5 * 2 * 2 * 8 * 5 * 7 * 16


def test_a_known_model():
    """Qwen3-8B has 8.19 B parameters, its KV cache 144 KiB a token, a 140-token state 55 MB."""
    assert QWEN3_8B.matrix_parameters == pytest.approx(8.19e9, rel=1e-3)
    assert QWEN3_8B.cache_bytes(1) == 144 * 1024
    assert SHAPES["qwen3-8b-float32"].weight_bytes == 2 * QWEN3_8B.weight_bytes
    cost = FastWeightsCost(QWEN3_8B, settings(layers=(0, 6, 12, 18, 24, 30)))
    assert cost.sizes.state_bytes(cost.sizes.held(140)) == 6 * 140 * (4096 + 12288) * 4


@pytest.mark.parametrize(("tokens_held", "dense"), [(40, False), (60, True)])
def test_bytes_while_solving(tokens_held, dense):
    """Of least squares before and after, its keys once; by hand, d 32 and ff 48 in two layers."""
    _, cost = both(update="mesa", chunk=64)
    held = cost.sizes.held(tokens_held)
    assert held.folded == dense
    if dense:
        # The sums and the system are float64, the solution is float32.
        kept, working = 8 * 48 * (32 + 48) + 4 * 32 * 48, 8 * (2 * 48 * 48 + 48 * 32)
    else:
        kept, working = 4 * (40 * (48 + 32 + 1) + 40 * 32), 4 * (2 * 40 * 40 + 40 * 32)
    assert cost.sizes.readable_peak_bytes(held) == 2 * kept + working
    solved = cost.make_readable(1, held)[1]
    assert cost.sizes.readable_peak_bytes(solved) == cost.sizes.state_bytes(solved)


@pytest.mark.parametrize("update", ["delta", "mesa"])
def test_conditions(update):
    """What each condition has and has not; a state is read by B and D, context only held by A."""
    _, cost = both(update=update)
    bench = Benchmark(samples=6, dialogue=18, distractor=60, distracted=3, probes=2, rows=3)
    a, b, c, d = (Estimate(cost, bench, CEILINGS).condition(name) for name in "ABCD")
    assert a.work.fast == c.work.fast == 0 < b.work.fast
    assert c.work.flops < b.work.flops
    assert c.held < b.held <= d.held
    assert d.work.fast > b.work.fast  # though half as many are asked
    lanes = 2 * (bench.question + bench.answer)
    assert a.held - c.held == cost.decoder.cache_bytes(3 * (18 + 30))
    assert c.held == cost.decoder.weight_bytes + cost.decoder.cache_bytes(3 * lanes)
    for found in (a, b, c, d):
        assert found.seconds >= 0.999999 * found.work.seconds(CEILINGS, "float32")


def test_the_command_on_a_folder_and_its_benchmark():
    """The embedded model: sizes of the samples by its tokenizer; and the document's own table."""
    found = of_samples(samples(), prompter(), RecallConfig(rows=5))
    dialogues = prompter().ids(["".join(s.sessions) for s in samples()])
    assert found.dialogue == round(sum(map(len, dialogues)) / len(dialogues))
    assert found.rows == 5
    assert found.distracted == sum(bool(s.distractor) for s in samples())
    result = run_script("cost", "--model", "data/models/embedded", "--config", "config.yaml")
    assert result.returncode == 0, result.stderr
    assert "of 40 GiB" in result.stdout


def test_the_document_shows_what_the_command_prints():
    """docs/cost.md has the output of the commands it names."""
    document = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
    for options in ([], ["--tf32"]):
        result = run_script("cost", "--shape", "qwen3-8b", *options)
        assert result.stdout.strip() in document, result.stderr


def test_bad_arguments():
    """One line each."""
    for arguments, message in (
        (["--shape", "qwen3-8b", "--run", "none"], "has no run 'none'"),
        (["--model", "nowhere"], "nowhere: no such model folder"),
        (["--shape", "qwen3-8b", "--benchmark", "x"], "expected --model"),
        (["--model", "data/models/embedded"], "expected less than the model's 4 layers"),
    ):
        result = run_script("cost", *arguments)
        assert result.returncode == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
