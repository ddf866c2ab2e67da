"""The behaviour matrix: model families, tied and untied, each attention, with and without a window.

Every model is made at random by transformers, saved in the hub's format and loaded as a run would.
"""

import pytest
import torch
from torch.nn import functional as F

from conversation_models import prompter
from fast_weights_models import DenseLoop, dense, memory, settings, tiny, tokens
from ttt_memory.conversation.models.attention_masks import block_mask, packed_mask
from ttt_memory.conversation.models.loading import load_model
from ttt_memory.conversation.models.requirements import check_model
from ttt_memory.conversation.prompts.packing import Packed, pack
from ttt_memory.conversation.recall.answers import answer
from ttt_memory.conversation.recall.naive import answer_naive, write_naive
from ttt_memory.conversation.train.loss import answer_loss
from ttt_memory.errors import UserError
from ttt_memory.fast_weights import FastWeights, inject

WINDOW = 5  # tokens; every text here is longer
# Wide enough that a text of 18 tokens stays in factors.
SIZES = {"hidden_size": 32, "intermediate_size": 64, "initializer_range": 0.2}
# Qwen's windows begin at a layer, Mistral's are in all, those of Gemma 2 and 3 in some.
FROM_LAYER = {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1}
SOME = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"] * 2}
SOME["layer_types"] = SOME["layer_types"][:3]
SHAPES = {
    ("qwen3", "full"): {},
    ("qwen3", "sliding"): FROM_LAYER,
    ("qwen2", "full"): {},
    ("qwen2", "sliding"): FROM_LAYER,
    ("llama", "full"): {},
    ("mistral", "full"): {"sliding_window": None},
    ("mistral", "sliding"): {"sliding_window": WINDOW},
    ("gemma", "full"): {},
    ("gemma2", "sliding"): SOME | {"attn_logit_softcapping": 2.0, "final_logit_softcapping": 30.0},
    ("gemma3_text", "full"): {"layer_types": ["full_attention"] * 3},
    ("gemma3_text", "sliding"): SOME,
}
CASES = [
    (*shape, tied, attention)
    for shape in SHAPES
    for tied in (True, False)
    for attention in ("sdpa", "eager")
    if (shape[0], attention) != ("gemma2", "sdpa")  # SDPA has no cap on scores
]


@pytest.fixture(
    scope="module",
    params=CASES,
    ids=lambda c: "-".join(["untied", "tied", *c][i] for i in (2, 3, int(c[2]), 5)),
)
def model(request, tmp_path_factory):
    """A model of one cell, in float64."""
    kind, shape, tied, attention = request.param
    return loaded(tmp_path_factory.mktemp(kind), kind, shape, tied, attention).double()


def loaded(folder, kind, shape, tied, attention, dtype="float32", **changes):
    """A model of one cell as `load_model` gives it."""
    changes = SIZES | SHAPES[kind, shape] | changes
    made = tiny(kind, torch.float32, tie_word_embeddings=tied, **changes)
    made.save_pretrained(folder)
    found = load_model(folder, dtype, attention)
    assert found.config._attn_implementation == attention
    assert (found.lm_head.weight is found.model.embed_tokens.weight) == tied
    return found


@pytest.mark.parametrize(
    "options",
    [
        {"update": "mesa", "gate": "top", "target": "input_embed"},
        {"read_while_writing": True, "gate": "layer", "key_norm": "none", "lr": 0.02},
    ],
    ids=["mesa", "reading"],
)
def test_parallel_factored_dense_and_naive_agree(model, options):
    """The batched write and the loop; a probe read from factors, a dense dW and by the loop."""
    fw = memory(model, **options)
    ids, probe, weight = tokens(2, 18), tokens(2, 6, seed=1), torch.ones(18)
    result = fw.write(ids)
    assert all(not layer.written.folded for layer in result.state.layers.values())
    loop, read = DenseLoop(fw), {"input_ids": probe, "output_hidden_states": True}
    factored = fw.read(result.state, **read).hidden_states[-1]
    folded = fw.read(result.state.fold(always=True), **read).hidden_states[-1]
    for row in range(2):
        hidden, dw = loop.write(ids[row], weight)
        naive = loop.read(probe[row], dw)
        assert (naive - fw.plain(**read).hidden_states[-1][row]).abs().max() > 1e-3
        for found, expected in ((result.hidden, hidden), (factored, naive), (folded, naive)):
            torch.testing.assert_close(found[row], expected, rtol=1e-5, atol=1e-5)
        for layer, found in dense(result.state).items():
            torch.testing.assert_close(found[row], dw[layer], rtol=1e-5, atol=1e-5)
    fw.eject()


def test_disabled_it_is_the_base(model):
    """Bit for bit: off, empty, beside a pass with memory, and taken out; packed rows as well."""
    packed = rows()[0]
    call = {
        "input_ids": packed.input_ids,
        "attention_mask": packed_mask(model, packed),
        "position_ids": packed.position_ids,
    }
    expected = model(**call).logits
    fw = memory(model)
    assert fw.plain(**call).logits.equal(expected)
    assert fw.read(fw.empty_state(2), **call).logits.equal(expected)
    state = fw.write(packed.input_ids).state
    assert not fw.read(state, **call).logits.equal(expected)
    assert fw.plain(**call).logits.equal(expected)
    assert fw.eject()(**call).logits.equal(expected)


CONTEXTS = [tokens(13).tolist(), tokens(9, seed=1).tolist()]
QUESTIONS = [[tokens(n, seed=n).tolist() for n in row] for row in ([3, 7], [4, 2])]
ANSWERS = [[tokens(n, seed=9 + n).tolist() for n in row] for row in ([2, 3], [4, 1])]
OPENING = [1]


def rows() -> tuple[Packed, Packed]:
    """The probes with their contexts, and after an opening alone."""
    return pack(CONTEXTS, QUESTIONS, ANSWERS), pack([OPENING] * 2, QUESTIONS, ANSWERS)


def packed_loss(fw: FastWeights) -> torch.Tensor:
    """Write the contexts, probes beside them in the same pass; drop them, and ask again."""
    document, alone = rows()
    ends = torch.tensor([[len(context)] for context in CONTEXTS])
    result = fw.write(
        document.input_ids,
        attention_mask=packed_mask(fw.model, document),
        position_ids=document.position_ids,
        write_mask=torch.arange(document.input_ids.shape[1]) < ends,
    )
    output = fw.read(
        result.state,
        input_ids=alone.input_ids,
        attention_mask=packed_mask(fw.model, alone),
        position_ids=alone.position_ids,
        use_cache=False,
        output_hidden_states=True,
        logits_to_keep=1,
    )
    in_context = answer_loss(fw.model, result.hidden, document.labels)
    return in_context + answer_loss(fw.model, output.hidden_states[-1], alone.labels)


def alone_loss(fw: FastWeights) -> torch.Tensor:
    """The same, one probe at a time, by the model's own logits."""
    losses = []
    for context, questions, answers in zip(CONTEXTS, QUESTIONS, ANSWERS, strict=True):
        state = fw.write(torch.tensor([context])).state
        for question, said in zip(questions, answers, strict=True):
            probe = question + said[:-1]
            seen = fw.plain(input_ids=torch.tensor([context + probe])).logits
            dropped = fw.read(state, input_ids=torch.tensor([OPENING + probe])).logits
            for logits in (seen, dropped):
                last = logits[0, -len(said) :].float()
                losses.append(F.cross_entropy(last, torch.tensor(said), reduction="sum"))
    return sum(losses) / sum(len(said) for row in ANSWERS for said in row)


def test_packed_training_has_the_gradients_of_one_by_one(model):
    """With and without gradient checkpointing."""
    fw = memory(model, update="mesa", gate="top")
    found = gradients(fw, packed_loss)
    expected = gradients(fw, alone_loss)
    assert found.keys() == expected.keys()
    fw.gradient_checkpointing_enable()
    fw.train()
    recomputed = gradients(fw, packed_loss)
    fw.eval()
    model.activation_checkpointing_disable()
    for name, gradient in expected.items():
        scale = gradient.abs().max().clamp_min(1e-3)
        for other in (found[name], recomputed[name]):
            torch.testing.assert_close(other / scale, gradient / scale, rtol=0, atol=1e-4)
    fw.eject()


def gradients(fw: FastWeights, loss) -> dict[str, torch.Tensor]:
    """Of every parameter that has one."""
    fw.zero_grad(set_to_none=True)
    loss(fw).backward()
    return {name: p.grad.clone() for name, p in fw.named_parameters() if p.grad is not None}


def test_the_model_is_fit_to_be_studied(model):
    check_model(model)


@pytest.mark.parametrize(
    "cell", [case for case in CASES if case[2]], ids=lambda c: "-".join((*c[:2], c[3]))
)
def test_lanes_of_probes_answer_as_one_by_one(cell, tmp_path):
    """Greedy answers from the memory and from the context, growing beside each other in a cache."""
    kind, shape, _, attention = cell
    size = len(prompter().tokenizer)
    fw = inject(
        loaded(tmp_path, kind, shape, True, attention, vocab_size=size),
        settings(lr=3.0, layers=(0, 1)),
    )
    state = write_naive(fw, CONTEXTS[:1]).concat(write_naive(fw, CONTEXTS[1:2]))
    limit = WINDOW + 2
    found = answer(fw, prompter(), QUESTIONS, None, state, limit)
    in_context = answer(fw, prompter(), QUESTIONS, CONTEXTS, None, limit)
    for row, questions in enumerate(QUESTIONS):
        for place, question in enumerate(questions):
            expected = answer_naive(fw, prompter(), question, state.index([row]), limit)
            assert found[row][place] == expected
            whole = CONTEXTS[row] + question
            expected = answer_naive(fw, prompter(), whole, fw.empty_state(1), limit)
            assert in_context[row][place] == expected


@pytest.mark.parametrize(
    "cell", {case[:2]: case for case in CASES}.values(), ids=lambda c: "-".join(c[:2])
)
def test_bfloat16_is_summed_in_float32(cell, tmp_path):
    """A bfloat16 base keeps its memory in float32, near what a float32 base writes."""
    kind, shape, tied, attention = cell
    exact = memory(loaded(tmp_path, kind, shape, tied, attention)).write(tokens(2, 18)).state
    fw = memory(loaded(tmp_path, kind, shape, tied, attention, "bfloat16"))
    check_model(fw.model)
    state = fw.write(tokens(2, 18)).state
    assert {p.dtype for p in fw.fast_parameters()} == {torch.float32}
    assert fw.read(state, input_ids=tokens(2, 5)).logits.dtype == torch.bfloat16
    for layer, norm in exact.norms().items():
        assert state.layers[layer].written.keys.dtype == torch.float32
        difference = (dense(state)[layer] - dense(exact)[layer]).flatten(1).norm(dim=1)
        assert (difference < 0.3 * norm).all()
    loss = packed_loss(fw)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in fw.fast_parameters() if p.grad is not None)


def test_a_window_is_laid_over_a_cache_too():
    """A query sees what lies less than a window before it, by position, not by place."""
    model = tiny("mistral", sliding_window=2)
    seen = torch.tensor([[True, True, True, False, True]])[None, None]
    mask = block_mask(model, seen, torch.tensor([[3]]), torch.tensor([[1, 2, 1, 2, 3]]))
    assert mask.tolist() == [[[[False, True, False, False, True]]]]


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("granite", {"logits_scaling": 4.0}, "its logits are not its output embedding"),
        ("gemma3_text", {"use_bidirectional_attention": True}, "does not see what it sees alone"),
        ("llama4_text", {}, "'chunked_attention'"),
    ],
)
def test_models_that_packing_would_falsify_are_refused(kind, changes, message):
    with pytest.raises(UserError, match=message):
        check_model(tiny(kind, **changes))
