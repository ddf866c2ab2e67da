"""LoRA runs: what is trained, what is saved, and that an adapter only loads on its own base."""

import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from peft import PeftModel
from safetensors.torch import load_file

from conversation_models import fast_weights, model, prompter, sampler, samples
from scripts import run_script
from ttt_memory.benchmark import write_benchmark
from ttt_memory.conversation.config.training import LoraConfig, RunConfig, TrainConfig
from ttt_memory.conversation.models import lora
from ttt_memory.conversation.models.loading import load_model
from ttt_memory.conversation.models.lora import adapt
from ttt_memory.conversation.models.trained_run import (
    ADAPTER,
    load_base,
    load_run,
    save_run,
    trained_part,
)
from ttt_memory.conversation.recall.sanity import Sanity
from ttt_memory.conversation.train import loop as loop_module
from ttt_memory.conversation.train.batches import BatchMaker
from ttt_memory.conversation.train.objective import Objective
from ttt_memory.conversation.train.optimisers import build_optimisers
from ttt_memory.conversation.train.train_run import choose_trained, train
from ttt_memory.errors import UserError
from ttt_memory.fast_weights import FastWeightsConfig, inject, load
from ttt_memory.fast_weights.base_model import fingerprint, is_adapter

LORA = LoraConfig(rank=2, alpha=8, dropout=0.1)
TRAIN = TrainConfig(regime="lora", lora=LORA, steps=4, dialogues_per_step=4, checkpoint_every=2)
FAST = FastWeightsConfig(layers=(0, 1), chunk=8)
CPU = torch.device("cpu")


def save_base(folder: Path, seed: int = 0) -> Path:
    model(seed).save_pretrained(folder)
    prompter().tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("base"))


def trained(base: Path, checkpoints: Path | None = None):
    torch.manual_seed(0)
    own = load_model(base)
    part = trained_part(own, TRAIN)
    fw = inject(own, FAST)
    config = RunConfig(fast_weights=FAST, train=TRAIN)
    rows = train(fw, sampler(), config, Accelerator(cpu=True), checkpoints)
    return fw, part, [row["loss"] for row in rows]


@pytest.fixture(scope="module")
def run(base: Path, tmp_path_factory: pytest.TempPathFactory):
    fw, part, losses = trained(base)
    folder = tmp_path_factory.mktemp("run") / "model"
    save_run(fw, folder, part, prompter().tokenizer)
    return fw, folder, losses


def said(fw):
    """Logits without fast weights, and after a dialogue was written."""
    ids = torch.tensor(prompter().ids([samples()[0].sessions[0]]))
    with torch.no_grad():
        state = fw.write(input_ids=ids).state
        return fw.plain(input_ids=ids).logits, fw.read(state, input_ids=ids[:, :9]).logits


def test_an_adapter_changes_nothing_before_training():
    plain, adapted = model(), model()
    adapt(adapted, LORA)
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(plain(input_ids=ids).logits, adapted.eval()(input_ids=ids).logits)


def test_gradients_reach_factors_and_fast_weights_and_nothing_else():
    own = model()
    adapt(own, LORA)
    fw = inject(own, FAST)
    choose_trained(fw, "lora")
    batch = BatchMaker(sampler(), TRAIN.model_copy(update={"context_share": 0.0})).batch(0, 0)
    Objective(fw, TRAIN)(batch).total.backward()
    for name, parameter in fw.named_parameters():
        if name.startswith("fast.") or is_adapter(name):
            assert parameter.grad is not None, name
        else:
            assert parameter.grad is None, name
    # At first B is zero, so the gradient of A is zero.
    grown = [n for n, p in fw.named_parameters() if "lora_B" in n and p.grad.abs().sum() > 0]
    assert len(grown) == 2 * len(LORA.target_modules)


def test_adamw_trains_the_factors():
    own = model()
    adapt(own, LORA)
    fw = inject(own, FAST)
    choose_trained(fw, "lora")
    (adamw,) = build_optimisers(fw.model.named_parameters(), fw.fast_parameters(), TRAIN.optimiser)
    assert isinstance(adamw, torch.optim.AdamW)
    factors = [p for name, p in fw.model.named_parameters() if is_adapter(name)]
    assert {id(p) for p in adamw.param_groups[0]["params"]} == {id(p) for p in factors}
    assert adamw.param_groups[0]["lr"] == TRAIN.optimiser.adam_lr


def test_training_changes_factors_and_fast_weights_and_nothing_else(base, run):
    fw, _, _ = run
    before = dict(load_model(base).named_parameters())
    for name, parameter in fw.model.named_parameters():
        if is_adapter(name):
            assert parameter.abs().sum() > 0, name
        else:
            assert torch.equal(parameter, before[name.replace(".base_layer", "")]), name
    fresh = dict(fast_weights().fast.named_parameters())
    assert all(not torch.equal(p, fresh[name]) for name, p in fw.fast.named_parameters())


def test_a_loaded_run_has_the_logits_of_the_saved_one(base, run):
    fw, folder, _ = run
    loaded = load_run(folder, base, CPU)
    for expected, found in zip(said(fw), said(loaded), strict=True):
        assert torch.equal(expected, found)
    # Without fast weights, the run is the adapted base.
    ids = torch.tensor(prompter().ids([samples()[0].sessions[0]]))
    assert torch.equal(load_base(folder, base)(input_ids=ids).logits, said(fw)[0])
    assert not torch.equal(load_model(base)(input_ids=ids).logits, said(fw)[0])


def test_a_merged_adapter_gives_the_same_logits_and_needs_no_products_of_its_own(base, run):
    _, folder, _ = run
    apart, merged = load_run(folder, base, CPU), load_run(folder, base, CPU)
    lora.merge(merged.model)
    calls = []
    for name, module in merged.model.named_modules():
        if name.rpartition(".")[0].endswith(("lora_A", "lora_B")):
            module.register_forward_hook(lambda *_: calls.append(1))
    for expected, found in zip(said(apart), said(merged), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert calls == []
    alone = load_model(base)
    lora.merge(alone)  # has none
    assert fingerprint(alone) == fingerprint(load_model(base))


def test_fast_weights_trained_with_an_adapter_refuse_the_bare_base(base, run):
    _, folder, _ = run
    with pytest.raises(UserError, match="fast weights of another model"):
        load(folder / "fast_weights", load_model(base))


def test_a_saved_run_has_an_adapter_that_peft_loads_and_no_base(base, run):
    fw, folder, _ = run
    assert {path.name for path in folder.iterdir()} == {"fast_weights", "adapter"}
    assert all(
        "lora_" in name for name in load_file(folder / ADAPTER / "adapter_model.safetensors")
    )
    alone = PeftModel.from_pretrained(load_model(base), folder / ADAPTER).eval()
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(alone(input_ids=ids).logits, fw.plain(input_ids=ids).logits)


def test_sanity_compares_with_the_adapted_base(base, run):
    _, folder, _ = run
    checked = Sanity(
        load_run(folder, base, CPU), lambda: load_base(folder, base), prompter(), samples()[:2], 64
    ).run()
    assert [name for name, result in checked.items() if not result["passed"]] == []


def test_a_resumed_run_repeats_the_uninterrupted_one(base, run, tmp_path, monkeypatch):
    expected, _, losses = run
    original = loop_module.Loop._step

    def interrupted(self, step, *rest):
        if step == 3:
            raise KeyboardInterrupt
        return original(self, step, *rest)

    monkeypatch.setattr(loop_module.Loop, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(base, tmp_path)
    monkeypatch.setattr(loop_module.Loop, "_step", original)
    fw, _, found = trained(base, tmp_path)
    assert found == losses
    for a, b in zip(fw.parameters(), expected.parameters(), strict=True):
        assert torch.equal(a, b)


def test_on_a_bfloat16_base_the_factors_are_float32_and_the_fingerprint_stays():
    low = model().to(torch.bfloat16)
    adapt(low, LORA)
    kinds = {is_adapter(name): p.dtype for name, p in low.named_parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    assert fingerprint(low) == fingerprint(model())
    assert fingerprint(model(1)) != fingerprint(model())


def test_the_recall_script_refuses_an_adapter_of_another_model(run, tmp_path):
    _, folder, _ = run
    other = save_base(tmp_path / "other", seed=1)
    write_benchmark(tmp_path / "benchmark.parquet", samples()[:2], {})
    config = ["--config", '{"base": {"dtype": "float32"}}', "--run", "lora", "--seed", 0]
    given = ["--model", folder, "--base", other, "--benchmark", tmp_path / "benchmark.parquet"]
    asked = ["--condition", "A", "--out", tmp_path / "out.parquet"]
    result = run_script("recall", *config, *given, *asked)
    assert result.returncode == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"error: {folder / ADAPTER}: an adapter of another model: it was")
    assert not (tmp_path / "out.parquet").exists()


def test_an_adapter_of_another_shape_or_damaged_is_refused(run, base, tmp_path):
    _, folder, _ = run
    shape = json.loads((base / "config.json").read_text())
    wide = type(model().config)(**{**shape, "intermediate_size": 96})
    type(model())(wide).save_pretrained(tmp_path / "wide")
    with pytest.raises(
        UserError, match=r"another model .*down_proj.lora_A.weight is \(2, 64\), ex"
    ):
        load_base(folder, tmp_path / "wide")
    for name in ("adapter_model.safetensors", "adapter_config.json", "base.json"):
        whole = (folder / ADAPTER / name).read_bytes()
        try:
            (folder / ADAPTER / name).write_bytes(whole[: len(whole) // 2])
            with pytest.raises(UserError, match="adapter: not an adapter in peft's format"):
                load_base(folder, base)
            (folder / ADAPTER / name).unlink()
            with pytest.raises(UserError, match=rf"adapter/{name}: not found"):
                load_base(folder, base)
        finally:
            (folder / ADAPTER / name).write_bytes(whole)


def test_a_module_that_the_base_does_not_have_is_named():
    fused = torch.nn.Module()
    fused.qkv_proj = torch.nn.Linear(2, 2)
    with pytest.raises(
        UserError, match=r"train.lora.target_modules: Module has no module 'q_proj'"
    ):
        adapt(fused, LORA)


def test_below_the_first_layer_with_an_adapter_nothing_trains_and_no_gradient_flows(tmp_path):
    config = TrainConfig(regime="lora", lora=LoraConfig(rank=2, from_layer=1))
    own = model()
    part = trained_part(own, config.model_copy())
    factors = {name for name, _ in own.named_parameters() if is_adapter(name)}
    assert factors
    assert not [name for name in factors if "layers.0." in name]
    fw = inject(own, FastWeightsConfig(layers=(1,), chunk=8, gate="top"))
    choose_trained(fw, "lora")
    seen = []
    for layer in own.get_decoder().layers:
        layer.register_forward_hook(lambda m, args, out: seen.append(out.requires_grad))
    fw.plain(input_ids=torch.tensor([[1, 2, 3]]))
    assert seen == [False] + [True] * (len(seen) - 1)
    save_run(fw, tmp_path / "run", part, prompter().tokenizer)
    save_base(tmp_path / "base")
    assert {n for n, _ in load_base(tmp_path / "run", tmp_path / "base").named_parameters()} == {
        n for n, _ in own.named_parameters()
    }


def test_a_first_layer_that_the_model_lacks_is_refused():
    with pytest.raises(UserError, match=r"from_layer: found 9, expected 0 to \d+: Qwen3"):
        adapt(model(), LoraConfig(from_layer=9))


def test_regime_lora_needs_an_adapter():
    with pytest.raises(ValueError, match="has no adapter"):
        choose_trained(fast_weights(), "lora")
