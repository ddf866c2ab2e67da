"""Injection: any gated decoder, bitwise itself when the memory is off; files; bad input."""

import copy
import json
from functools import partial

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from clone import ROOT
from fast_weights_models import VOCAB, D, apart, dense, memory, settings, tiny, tokens
from ttt_memory.errors import UserError
from ttt_memory.fast_weights import FastWeightsConfig, inject, load, load_state, save, save_state
from ttt_memory.fast_weights.base_model import fingerprint, positions
from ttt_memory.fast_weights.checkpoint import TENSORS
from ttt_memory.fast_weights.config import CONFIG
from ttt_memory.fast_weights.layer import FastLayer

KINDS = ["qwen3", "llama", "mistral", "gemma", "qwen2", "phi3", "glm4"]  # the last two are fused


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_plain_is_the_base_model_bit_for_bit(kind, dtype):
    """Logits and gradients: with the memory injected and off, empty, and taken out again."""
    model, ids = tiny(kind, dtype), tokens(2, 9)
    expected = logits_and_gradients(model, model, ids)
    fw = inject(model, settings())
    assert_same(logits_and_gradients(model, fw.plain, ids), expected)
    assert_same(logits_and_gradients(model, partial(fw.read, fw.empty_state(2)), ids), expected)
    fw.read(fw.write(ids).state, input_ids=ids)
    assert_same(logits_and_gradients(model, model, ids), expected)
    assert_same(logits_and_gradients(model, fw.eject(), ids), expected)
    assert model.state_dict().keys() == tiny(kind, dtype).state_dict().keys()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.model.modules())


def logits_and_gradients(model, forward, ids) -> list[torch.Tensor]:
    """What `forward` returns and what it leaves in the parameters."""
    model.zero_grad()
    logits = forward(input_ids=ids).logits
    logits.float().square().sum().backward()
    return [logits, *(p.grad for p in model.parameters())]


def assert_same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    """Bit for bit."""
    assert all(a.equal(b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reading", [False, True])
def test_memory_works_in_every_kind(kind, reading):
    """What is written changes what is read, after the text and, if asked, in it."""
    fw, ids = memory(tiny(kind), read_while_writing=reading), tokens(2, 12)
    result = fw.write(ids, logits=True)
    plain = fw.plain(input_ids=ids).logits
    assert (fw.read(result.state, input_ids=ids).logits - plain).abs().max() > 1e-2
    assert result.logits.equal(plain) != reading
    assert fw.write(ids).hidden.equal(result.hidden)


def test_logits_are_the_models_own():
    """A model that caps its logits does so in `write` too."""
    fw = inject(tiny("gemma2", final_logit_softcapping=0.5), settings())
    logits = fw.write(tokens(1, 6), logits=True).logits
    assert logits.abs().max() <= 0.5
    assert logits.equal(fw.plain(input_ids=tokens(1, 6)).logits)


def test_only_the_memory_trains_when_the_base_is_frozen():
    """A step on a probe's loss moves every fast parameter and nothing else."""
    fw = memory(gate="top")
    fw.model.requires_grad_(False)
    before = {name: p.detach().clone() for name, p in fw.named_parameters()}
    optimizer = torch.optim.SGD(fw.fast_parameters(), lr=0.1)
    state = fw.write(tokens(2, 10)).state
    ids = tokens(2, 5, seed=1)
    fw.read(state, input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    own = {id(p) for p in fw.fast_parameters()}
    for name, p in fw.named_parameters():
        assert p.equal(before[name]) != (id(p) in own), name
        assert (p.grad is not None) == (id(p) in own), name


@pytest.mark.parametrize(
    "options",
    [
        {"gate": "top", "recency": 0.7, "learn_recency": True},
        {"init": "published", "target": "input_embed"},
    ],
)
def test_fast_weights_that_no_training_has_changed_are_told(options, tmp_path):
    """Also from a file; a change of any one part of one layer is enough."""
    fw = inject(tiny(), settings(**options))
    assert fw.untrained()
    drawn = torch.random.get_rng_state()
    save(fw, tmp_path)
    fw = load(tmp_path, tiny())
    assert fw.untrained()
    assert fw.to(torch.bfloat16).untrained()
    fw = load(tmp_path, tiny())
    for parameter in fw.fast.get_submodule("2").parameters():
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter.view(-1)[min(1, parameter.numel() - 1)] += 1e-3
            assert not fw.untrained()
            parameter.copy_(kept)
    assert fw.untrained()
    torch.random.set_rng_state(drawn)
    before = torch.rand(1)
    torch.random.set_rng_state(drawn)
    fw.untrained()
    assert torch.rand(1) == before


def test_the_memories_that_ship_are_trained():
    folders = [path.parent for path in (ROOT / "data" / "models").glob("*/*/*/fast_weights.json")]
    assert len(folders) >= 3
    for folder in folders:
        config = FastWeightsConfig(**json.loads((folder / CONFIG).read_text())["config"])
        tensors = load_file(folder / TENSORS)
        for i in config.layers:
            own = {n.split(".", 1)[1]: t for n, t in tensors.items() if n.startswith(f"{i}.")}
            layer = FastLayer(config, d=len(own["conv"]), ff=1)
            assert layer.is_new()
            layer.load_state_dict(own)
            assert not layer.is_new(), folder


def test_rate_starts_exactly_at_lr_and_stays_positive():
    """The learned rate is lr times the exponential of a parameter that starts at zero."""
    layer = inject(tiny(), settings(lr=0.1)).fast["0"]
    assert layer.keys_and_values(torch.float64).rate.item() == 0.1
    with torch.no_grad():
        layer.log_rate.fill_(-30.0)
    assert 0 < layer.keys_and_values(torch.float64).rate < 1e-10


@pytest.mark.parametrize(("bias", "inward"), [(-4.0, -1.0), (4.0, 1.0)])
def test_a_gate_that_is_shut_or_open_for_every_token_can_come_back(bias, inward):
    """A gradient that leads inward passes, one that leads further out does not."""
    layer = memory(gate="top").fast["0"]
    with torch.no_grad():
        layer.gate_bias.fill_(bias)
        layer.gate_weight.zero_()
    gate = layer.gate(torch.randn(1, 3, D, dtype=torch.float64))
    assert gate.eq(float(bias > 0)).all()
    found = [
        torch.autograd.grad(way * gate.sum(), layer.gate_bias, retain_graph=True)[0].item()
        for way in (inward, -inward)
    ]
    assert found == [3 * inward, 0]


def test_gate_starts_alike_for_all_and_gives_no_gradient_to_what_it_reads():
    """0.5 for every token; w and b learn, u does not."""
    fw = inject(tiny(), settings(gate="top"))
    gates = fw.write(tokens(2, 5)).gates
    for gate in gates.values():
        torch.testing.assert_close(gate, torch.full_like(gate, 0.5))
    u = torch.randn(1, 3, D, dtype=torch.float64, requires_grad=True)
    layer = memory(gate="top").fast["0"]
    layer.gate(u).sum().backward()
    assert u.grad is None
    assert layer.gate_weight.grad.abs().sum() > 0
    assert layer.gate(1000 * u).allclose(layer.gate(u))
    assert memory().write(tokens(1, 4)).gates is None


def test_read_takes_caches_masks_and_packed_rows():
    """One row of packed probes under a 4-D mask reads as the probes do one by one."""
    fw = memory()
    state = fw.write(tokens(1, 12)).state
    probes = [tokens(1, n, seed=n) for n in (3, 5, 4)]
    apart_logits = [fw.read(state, input_ids=p).logits for p in probes]
    packed = torch.cat(probes, 1)
    segment = torch.tensor([0] * 3 + [1] * 5 + [2] * 4)
    mask = (segment[:, None] == segment) & torch.ones(12, 12, dtype=torch.bool).tril()
    positions = torch.tensor([[*range(3), *range(5), *range(4)]])
    additive = torch.zeros(12, 12, dtype=torch.float64).masked_fill(~mask, -torch.inf)
    for form in (mask, additive):
        out = fw.read(
            state, input_ids=packed, attention_mask=form[None, None], position_ids=positions
        ).logits
        torch.testing.assert_close(out, torch.cat(apart_logits, 1))
    cache = DynamicCache()
    for token in range(5):
        out = fw.read(
            state, input_ids=probes[1][:, token : token + 1], past_key_values=cache, use_cache=True
        ).logits
        torch.testing.assert_close(out, apart_logits[1][:, token : token + 1])


def test_repeat_shares_a_row():
    """Rows 0-2 of the batch read row 0 of the state, rows 3-5 row 1."""
    fw = memory()
    state, ids = fw.write(tokens(2, 8)).state, tokens(6, 4, seed=1)
    shared = fw.read(state, repeat=3, input_ids=ids).logits
    copied = fw.read(state.index([0, 0, 0, 1, 1, 1]), input_ids=ids).logits
    torch.testing.assert_close(shared, copied)


@pytest.mark.parametrize("reading", [False, True])
def test_half_precision_accumulates_in_float32(reading):
    """Under autocast, and for a bfloat16 model, the memory is float32 and close to exact."""
    exact = memory(tiny(dtype=torch.float64), read_while_writing=reading).write(tokens(2, 12)).state
    fw = memory(tiny(dtype=torch.float32), read_while_writing=reading, update="hebbian")
    with torch.autocast("cpu", torch.bfloat16):
        result = fw.write(tokens(2, 12))
        out = fw.read(result.state, input_ids=tokens(2, 5)).logits
    half = memory(tiny(dtype=torch.bfloat16), read_while_writing=reading)
    for state in (result.state, half.write(tokens(2, 12)).state):
        for i, norm in exact.norms().items():
            assert state.layers[i].written.keys.dtype == torch.float32
            difference = (dense(state)[i] - dense(exact)[i]).flatten(1).norm(dim=1)
            assert (difference < 0.2 * norm).all()
    assert out.isfinite().all()
    assert half.read(state, input_ids=tokens(2, 5)).logits.dtype == torch.bfloat16
    assert {p.dtype for p in half.fast_parameters()} == {torch.float32}


def test_two_memories_on_one_model_do_not_meet():
    """A pass belongs to the memory that runs it."""
    model, ids = tiny(), tokens(1, 10)
    alone = memory(tiny()).write(ids).state
    first, second = memory(model), memory(model, layers=(1,), read_while_writing=True)
    assert apart(first.write(ids).state, alone) == 0
    assert second.write(ids).state.layers.keys() == {1}


def test_a_copy_has_a_memory_of_its_own():
    """Deepcopy copies model, parameters and hooks."""
    fw, ids = memory(), tokens(1, 10)
    twin = copy.deepcopy(fw)
    assert apart(fw.write(ids).state, twin.write(ids).state) == 0
    with torch.no_grad():
        twin.fast["0"].proj.zero_()
    assert apart(fw.write(ids).state, twin.write(ids).state) > 1e-3


@pytest.mark.parametrize(
    "options", [{}, {"gate": "top", "conv_width": 1, "init": "published"}, {"projection": False}]
)
def test_checkpoint_round_trip(options, tmp_path):
    """The same memory on the same model; other files in the folder stay; nothing else appears."""
    fw, ids = memory(**options), tokens(2, 9)
    (tmp_path / "model.safetensors").write_bytes(b"the base model's")
    save(fw, tmp_path)
    save(fw, tmp_path)
    again = load(tmp_path, tiny())
    assert again.config == fw.config
    assert apart(fw.write(ids).state, again.write(ids).state) == 0
    names = {"model.safetensors", "fast_weights.json", "fast_weights.safetensors"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_checkpoint_that_does_not_fit(tmp_path):
    """Other sizes, other layers, half a folder: one line that names it."""
    import peft

    with pytest.raises(UserError, match="nowhere: not found"):
        load(tmp_path / "nowhere", tiny())
    save(memory(), tmp_path)
    with pytest.raises(UserError, match=r"layer 2 of 2"):
        load(tmp_path, tiny(num_hidden_layers=2))
    wide = tiny(hidden_size=16)
    with pytest.raises(UserError, match=r"is \(8, 5\), expected \(16, 5\)"):
        load(tmp_path, wide)
    assert not wide.model.layers[0].mlp.down_proj._forward_hooks
    other, away = tiny(), tiny()
    other.model.layers[1].mlp.up_proj.weight.data.mul_(1.1)
    away.lm_head.to("meta")
    for model, message in ((other, "fast weights of another model"), (away, "is offloaded")):
        with pytest.raises(UserError, match=message):
            load(tmp_path, model)
        assert not model.model.layers[0].mlp.down_proj._forward_hooks
    adapted = peft.get_peft_model(tiny(), peft.LoraConfig(r=2)).get_base_model()
    with pytest.raises(UserError, match="with an adapter that it did not have"):
        load(tmp_path, adapted)
    save(memory(), tmp_path / "run" / "fast_weights")
    with pytest.raises(UserError, match=f"is {tmp_path / 'run' / 'fast_weights'} meant"):
        load(tmp_path / "run", tiny())
    save(memory(), tmp_path / "run" / "other")
    with pytest.raises(UserError, match=r"fast_weights\.safetensors$"):
        load(tmp_path / "run", tiny())
    path = tmp_path / "fast_weights.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | {"config": stored["config"] | {"chunk": 0}}))
    with pytest.raises(UserError, match="chunk"):
        load(tmp_path, tiny())
    path.write_text(json.dumps(stored))
    tensors = tmp_path / "fast_weights.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-8])
    with pytest.raises(UserError, match="not the file it was saved with"):
        load(tmp_path, tiny())
    tensors.unlink()
    with pytest.raises(UserError, match="not found"):
        load(tmp_path, tiny())
    path.write_text("{")
    tensors.touch()
    with pytest.raises(UserError, match="not a fast-weight configuration"):
        load(tmp_path, tiny())


def test_a_fingerprint_tells_models_apart(tmp_path):
    """By any column, name or shape; not by type or by what is not a parameter."""
    model = tiny()
    seen = {fingerprint(model)}
    assert fingerprint(tiny(dtype=torch.float32)) in seen
    assert fingerprint(tiny().to(torch.bfloat16)) in seen
    weight = torch.nn.Linear(64, 512, bias=False).weight.detach()
    other_columns, last_rows = weight.clone(), weight.clone()
    other_columns[:, 1:] *= 3
    last_rows[-64:] *= 3
    for name, values in (
        ("a", weight),
        ("b", weight),
        ("a", other_columns),
        ("a", last_rows),
        ("a", weight.view(64, 512)),
    ):
        module = torch.nn.ParameterDict({name: values})
        assert fingerprint(module) not in seen
        seen.add(fingerprint(module))
    model.save_pretrained(tmp_path)
    assert fingerprint(type(model).from_pretrained(tmp_path)) in seen


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"chunk": 0}, "chunk"),
        ({"lr": -0.1}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"layers": ()}, "layers"),
        ({"layers": (-1,)}, "layers"),
        ({"layers": (1, 1)}, "names a layer twice"),
        ({"conv_width": 4}, "even"),
        ({"update": "mesa", "decay": 0.9}, "requires .'decay': 1.0"),
        ({"update": "mesa", "key_norm": "none"}, "found .'decay': 1.0, 'key_norm': 'none'"),
        ({"conv_width": 1}, "next token"),
        ({"gate": "top", "read_while_writing": True}, "read_while_writing"),
        ({"gate": "topp"}, "gate"),
        ({"decay": 1.5}, "decay"),
        ({"recency": 0.0}, "recency"),
        ({"learn_recency": True}, "expected it below 1, found 1"),
        ({"momentum": 0.9}, "momentum"),
    ],
)
def test_bad_configuration(wrong, message):
    """Each is refused with the key's name."""
    with pytest.raises(ValidationError, match=message):
        FastWeightsConfig(**{"layers": (0,)} | wrong)


def test_a_text_is_no_longer_than_the_models_positions():
    """Counted with the cache and without padding; a row of several texts says where they are."""
    fw, ids = memory(tiny(max_position_embeddings=6)), tokens(1, 7)
    with pytest.raises(UserError, match="a text of 7 tokens; expected at most 6"):
        fw.write(ids)
    fw.write(ids, attention_mask=torch.tensor([[1] * 6 + [0]]))
    fw.write(ids, position_ids=torch.tensor([[0, 1, 2, 3, 0, 1, 2]]))
    cache = DynamicCache()
    fw.write(ids[:, :4], past_key_values=cache)
    with pytest.raises(UserError, match="a text of 7 tokens"):
        fw.write(ids[:, 4:], past_key_values=cache)
    rope = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    assert positions(tiny(max_position_embeddings=6, rope_parameters=rope)) is None


def test_bad_models_and_batches():
    """A layer too far, a model without gated MLPs, recomputation, shapes that do not meet."""
    with pytest.raises(UserError, match="layer 3 of 3; expected 0 to 2"):
        inject(tiny(), settings(layers=(0, 3)))
    gpt2 = GPT2LMHeadModel(
        GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=9, bos_token_id=0, eos_token_id=0)
    )
    with pytest.raises(UserError, match="GPT2LMHeadModel has no gated MLPs"):
        inject(gpt2, settings())
    experts = tiny("qwen3_moe", num_experts=2, num_experts_per_tok=1, moe_intermediate_size=4)
    with pytest.raises(UserError, match="gated MLPs"):
        inject(experts, settings())
    fw, ids = memory(), tokens(2, 6)
    with pytest.raises(ValueError, match=r"expected a tensor \[B, T\]"):
        fw.write(ids[0])
    with pytest.raises(ValueError, match="3 rows"):
        fw.write(ids, state=fw.empty_state(3))
    with pytest.raises(ValueError, match="pass write_mask"):
        fw.write(ids, attention_mask=torch.ones(2, 1, 6, 6, dtype=torch.bool))
    with pytest.raises(ValueError, match="write mask"):
        fw.write(ids, write_mask=torch.ones(2, 5))
    fw.model.activation_checkpointing_enable()
    fw.train()
    with pytest.raises(UserError, match="gradient checkpointing"):
        fw.write(ids)


RECOMPUTED = [
    {},
    {"update": "delta", "gate": "top"},
    {"update": "mesa", "gate": "top"},
    {"gate": "layer", "target": "input_embed"},
    {"read_while_writing": True, "update": "delta", "gate": "layer"},
    {"read_while_writing": True, "update": "mesa", "gate": "layer"},
    {"read_while_writing": True, "target": "input_embed", "decay": 0.8},
]


@pytest.mark.parametrize("options", RECOMPUTED, ids=lambda o: "-".join(map(str, o)) or "default")
def test_recomputed_layers_have_their_fast_weights(options):
    """Gradient checkpointing changes no gradient of a loss on what is written and read.

    60 tokens are two pieces, between which the memory is folded; two texts, two backward passes.
    """
    found, passes = [], []
    for recomputed in (False, True):
        fw = memory(**options).train()
        count = []
        fw.model.model.layers[0].mlp.register_forward_pre_hook(
            lambda *_, seen=count: seen.append(1)
        )
        if recomputed:
            fw.gradient_checkpointing_enable()
        first = fw.write(tokens(2, 60))
        second = fw.write(tokens(2, 7, seed=1), state=first.state)
        read = fw.read(second.state, input_ids=tokens(2, 5), labels=tokens(2, 5, seed=2)).loss
        loss = read + first.hidden.square().mean() + second.hidden.square().mean()
        loss = loss + sum(norm.sum() for norm in second.state.norms().values())
        loss.backward(retain_graph=True)
        loss.backward()
        found.append({name: p.grad for name, p in fw.named_parameters()})
        passes.append(len(count))
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-10, atol=1e-10, msg=name)
    # Three passes forward; each backward pass runs the layer of each once more.
    assert passes == [3, 9]


@pytest.mark.parametrize("reading", [False, True])
def test_memory_is_never_left_out_in_silence(reading):
    """A pass that reaches no hook is an error, not the base model."""
    fw, ids = memory(read_while_writing=reading), tokens(1, 6)
    state = fw.write(ids).state
    fw.eject()
    with pytest.raises(UserError, match="layer 0: its down_proj was not called"):
        fw.read(state, input_ids=ids)
    with pytest.raises(UserError, match="layer 0: its down_proj was not called"):
        fw.write(ids)


@pytest.mark.parametrize("reading", [False, True])
def test_embeddings_that_take_the_place_of_others_are_told(reading):
    """Also in reading while writing; a memory that does not write them goes on."""
    ids, other = tokens(1, 6), torch.nn.Embedding(VOCAB, D).double()
    fw = memory(target="input_embed", read_while_writing=reading)
    state = fw.write(ids).state
    fw.model.resize_token_embeddings(VOCAB + 8, mean_resizing=False)  # in their place
    assert apart(fw.write(ids).state, state) == 0
    fw.model.set_input_embeddings(other)
    with pytest.raises(UserError, match=r"token embeddings .* expected them not to be replaced"):
        fw.write(ids)
    assert fw.read(state, ids).logits.isfinite().all()
    again = memory(fw.eject(), target="input_embed", read_while_writing=reading)
    assert again.write(ids).state.written.tolist() == [6]
    hidden = memory(target="hidden_states", read_while_writing=reading)
    hidden.model.set_input_embeddings(other)
    assert hidden.write(ids).state.written.tolist() == [6]


def generated(forward, ids: torch.Tensor, count: int) -> torch.Tensor:
    """The oracle: `count` greedy tokens, each by a pass over all that came before."""
    for _ in range(count):
        ids = torch.cat([ids, forward(input_ids=ids).logits[:, -1:].argmax(-1)], 1)
    return ids


def test_generate_is_transformers_own_with_the_fast_weights():
    fw, ids = memory(tiny()), tokens(2, 9)
    state, options = fw.write(ids).state, {"max_new_tokens": 5, "eos_token_id": None}
    expected = generated(partial(fw.read, state), ids[:, :3], 5)
    assert fw.generate(state, ids[:, :3], do_sample=False, **options).equal(expected)
    plain = fw.generate(None, ids[:, :3], do_sample=False, **options)
    assert plain.equal(generated(fw.plain, ids[:, :3], 5))
    assert not plain.equal(expected)
    # A prompt longer than a chunk of the memory, with the model's cache: titans-pytorch#61.
    assert len(ids[0]) > fw.config.chunk
    assert fw.generate(state, ids, do_sample=False, **options).equal(
        generated(partial(fw.read, state), ids, 5)
    )
    # Beams and samples of a prompt read its row: each row alone says the same.
    beams = {"num_beams": 3, "num_return_sequences": 2, "do_sample": False}
    found = fw.generate(state, ids[:, :3], **beams, **options)
    for row in range(2):
        alone = fw.generate(state.index([row]), ids[row : row + 1, :3], **beams, **options)
        assert found[2 * row : 2 * row + 2].equal(alone)
    # Prompt look-up drafts several tokens at once over a filled cache (transformers#45513 lost the
    # state there), and the result is the greedy one.
    drafted = fw.generate(
        state.index([0]), ids[:1, :3], prompt_lookup_num_tokens=2, do_sample=False, **options
    )
    assert drafted.equal(expected[:1])
    with pytest.raises(ValueError, match="a batch of 1 for a state of 2 rows"):
        fw.generate(state, ids[:1])


def test_what_is_no_batch_of_tokens_is_refused():
    fw, ids = memory(tiny()), tokens(2, 9)
    state = fw.write(ids).state
    for wrong, found in ((ids.tolist(), "list"), (ids[0], r"\(9,\)"), (ids[:, :0], r"\(2, 0\)")):
        for use in (fw.write, partial(fw.generate, state)):
            with pytest.raises(ValueError, match=f"input_ids {found}; expected a tensor"):
                use(wrong)
    with pytest.raises(ValueError, match="found a state; expected it as state="):
        fw.write(ids, state)


def test_what_the_model_cannot_take_is_told():
    fw, ids = memory(tiny()), tokens(2, 9)
    state = fw.write(ids.int()).state
    assert apart(state, fw.write(ids).state) == 0
    for wrong, message in (
        (ids.float(), "input_ids torch.float32; expected"),
        (ids + VOCAB, f"input_ids: found {int(ids.max()) + VOCAB}, expected 0 to {VOCAB - 1}"),
        (ids - VOCAB, rf"input_ids: found {int(ids.min()) - VOCAB}, expected 0 to"),
    ):
        for use in (fw.write, partial(fw.generate, state)):
            with pytest.raises(ValueError, match=message):
                use(wrong)
    for weight in (torch.full((2, 9), -1.0), torch.full((2, 9), torch.nan)):
        with pytest.raises(ValueError, match="expected finite numbers of at least 0"):
            fw.write(ids, write_weight=weight)
    with pytest.raises(ValueError, match=r"write_weight \(2, 5\) for input_ids \(2, 9\)"):
        fw.write(ids, write_weight=torch.ones(2, 5))
    with pytest.raises(UserError, match="found a NoneType, expected a state"):
        fw.read(None, ids)
    with pytest.raises(UserError, match="config: found a dict, expected a FastWeightsConfig"):
        inject(tiny(), {"layers": [0]})
    with pytest.raises(UserError, match="model: found a Linear, expected a transformers decoder"):
        inject(torch.nn.Linear(2, 2), settings())


def test_a_call_reads_or_is_plain():
    """As wrappers such as DDP call a module; ids may come by their place."""
    fw, ids = memory(tiny()), tokens(2, 9)
    state = fw.write(ids).state
    expected = fw.read(state, input_ids=ids).logits
    assert fw(ids, state).logits.equal(expected)
    assert fw.read(state, ids).logits.equal(expected)
    assert fw(ids).logits.equal(fw.plain(input_ids=ids).logits)
    with pytest.raises(TypeError):
        fw.read(state, ids, 2)


def test_a_wrapped_model_is_the_same_model():
    """Public kin: peft#2957, peft#3110."""
    import peft

    model = tiny()
    expected = fingerprint(model)
    assert fingerprint(torch.compile(model)) == expected
    assert fingerprint(torch.nn.ModuleDict({"module": model})) == expected
    assert fingerprint(peft.get_peft_model(model, peft.LoraConfig(r=2))) == expected


@pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace")
def test_a_compiled_model_has_the_same_fast_weights():
    """The hooks take part, also where the model was traced before without fast weights."""
    plain, compiled = memory(tiny()), memory(tiny())
    ids = tokens(1, 6)
    compiled.model.compile(backend="eager")
    assert compiled.plain(ids).logits.equal(plain.plain(ids).logits)
    state, expected = (fw.write(ids, logits=True).state for fw in (compiled, plain))
    assert apart(state, expected) == 0
    logits = compiled.read(state, ids).logits
    assert logits.equal(plain.read(expected, ids).logits)
    assert not logits.equal(plain.plain(ids).logits)


class Packed(torch.nn.Linear):
    """A linear map whose weight is stored as bytes in one column, as bitsandbytes stores 4 bits."""

    def __init__(self, whole: torch.nn.Linear) -> None:
        super().__init__(whole.in_features, whole.out_features, bias=False)
        stored = whole.weight.detach().contiguous().view(torch.uint8).reshape(-1, 1)
        self.weight = torch.nn.Parameter(stored, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = self.out_features, self.in_features
        return torch.nn.functional.linear(x, self.weight.flatten().view(x.dtype).view(shape))


def test_packed_weights_are_read_by_their_widths(tmp_path):
    """A weight of another shape than [d, ff] has the fast weights that it stands for."""
    ids, plain, packed = tokens(2, 9), memory(), tiny()
    for layer in packed.model.layers:
        layer.mlp.down_proj = Packed(layer.mlp.down_proj)
    fw = memory(packed)
    state = fw.write(ids).state
    expected = plain.read(plain.write(ids).state, ids).logits
    assert torch.allclose(fw.read(state, ids).logits, expected)
    save_state(fw, state.detach(), tmp_path / "state")
    assert torch.allclose(fw.read(load_state(fw, tmp_path / "state"), ids).logits, expected)
    assert all(norm.isnan().all() for norm in state.norms(fw).values())
