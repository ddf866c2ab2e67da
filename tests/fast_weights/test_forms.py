"""The loop with a dense weight and the batched form are one function, gradients included."""

import itertools
from dataclasses import replace

import pytest
import torch

from fast_weights_models import FF, D, DenseLoop, dense, memory, settings, tiny, tokens
from ttt_memory.fast_weights import LayerState, inject, naive
from ttt_memory.fast_weights.chunks import ChunkPlan, Pending
from ttt_memory.fast_weights.rules import delta, load
from ttt_memory.fast_weights.write import KeysAndValues, advance

T = 11
NO_GRAM = torch.zeros(3, FF, FF, dtype=torch.float64)  # of a problem without tokens
ENDS = ["write", "drop"]
CASES = list(
    itertools.product(
        ["hebbian", "delta"], [1.0, 0.7], [1, 3, 5], [False, True], [1, 4, 11, 16], ENDS
    )
)
CASES += itertools.product(["mesa"], [1.0], [1, 3], [False, True], [4, 16], ENDS)


def draw(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return (scale * torch.randn(shape, dtype=torch.float64)).requires_grad_()


@pytest.mark.parametrize(("update", "decay", "width", "own", "chunk", "end"), CASES)
def test_advance_equals_the_loop(update, decay, width, own, chunk, end, monkeypatch):
    """Outputs, memory and all gradients; rows of 11, 6 and 0 tokens after an earlier memory.

    `own` switches projection and key normalisation together: they do not meet.
    """
    torch.manual_seed(0)
    monkeypatch.setattr(delta, "BLOCK", 4)  # 11 tokens: two whole blocks and a part of one
    z, target, weight = draw(3, T, FF, scale=0.3), draw(3, T, D), draw(3, T)
    lr, before = draw(), draw(3, D, FF)
    if update == "mesa":  # a strength below zero has no least squares
        weight, lr = (t.detach().abs().requires_grad_() for t in (weight, lr))
    conv = draw(D, width) if width > 1 else None
    proj = draw(D, D) if own else None
    mask = torch.arange(T) < torch.tensor([[T], [6], [0]])
    leaves = [t for t in (z, target, weight, lr, before, conv, proj) if t is not None]

    rule = load(update)
    empty = rule.State.empty(3, D, FF, z)
    sums = {"dense": before} if update != "mesa" else {"products": before, "gram": NO_GRAM}
    start = LayerState(replace(empty, **sums), Pending.empty(3, D, FF, z))
    plan = ChunkPlan.build(torch.zeros(3, dtype=torch.long), 0, mask, chunk, decay, end)
    made = KeysAndValues(lr, conv, proj, own)
    read, after = advance(start, plan, rule, made, Pending(z, target, weight), read=True)
    found = [read * mask[..., None], after.written.to_dense()]

    expected = [torch.zeros(3, T, D, dtype=torch.float64), before.clone()]
    for row, length in enumerate(mask.sum(1).tolist()):
        if length:
            out, dw = naive.write(
                *(t[row, :length] for t in (z, target, weight)),
                before[row],
                lr=lr,
                conv=conv,
                proj=proj,
                chunk=chunk,
                normalise=own,
                update=update,
                decay=decay,
                flush=end == "write",
            )
            expected[0] = expected[0].index_put((torch.tensor(row), torch.arange(length)), out)
            expected[1] = expected[1].index_put((torch.tensor(row),), dw)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)

    ways = [torch.randn_like(t) for t in found]
    gradients = [
        torch.autograd.grad(
            sum((o * w).sum() for o, w in zip(outs, ways, strict=True)),
            leaves,
            materialize_grads=True,  # a text shorter than a chunk may be dropped whole
        )
        for outs in (found, expected)
    ]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


OPTIONS = [
    {},
    {"update": "delta", "gate": "top"},
    {"update": "mesa", "gate": "top", "target": "input_embed"},
    {"update": "mesa", "chunk": 64},
    {"gate": "layer", "decay": 0.8, "learn_lr": False},
    {"target": "input_embed", "key_norm": "none", "lr": 0.05},
    {"flush": False, "projection": False, "conv_width": 3},
    {"init": "published", "conv_width": 1},
    {"read_while_writing": True, "key_norm": "none", "lr": 0.05},
    {"read_while_writing": True, "update": "delta", "gate": "layer"},
    {"read_while_writing": True, "update": "mesa", "gate": "layer"},
    {"read_while_writing": True, "target": "input_embed", "flush": False},
    {"read_while_writing": True, "update": "delta", "decay": 0.8, "chunk": 7},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o)) or "default")
def test_model_equals_the_dense_loop(options, monkeypatch):
    """A whole model: hidden states, memory, what a probe reads, and every parameter's gradient.

    50 tokens are more than one piece of the products, more than the factors' worth and, with a
    smaller block, more than one block of the delta rule's system.
    """
    monkeypatch.setattr(delta, "BLOCK", 8)
    fw = memory(**options)
    ids, probe = tokens(2, 50), tokens(2, 6, seed=1)
    weight = torch.rand(2, 50, dtype=torch.float64)
    result = fw.write(ids, write_weight=weight)
    read = fw.read(result.state, input_ids=probe, output_hidden_states=True).hidden_states[-1]
    found = [result.hidden, read, *dense(result.state).values()]

    loop = DenseLoop(fw)
    rows = []
    for row in range(2):
        hidden, dw = loop.write(ids[row], weight[row])
        rows.append([hidden, loop.read(probe[row], dw), *dw.values()])
    expected = [torch.stack(column) for column in zip(*rows, strict=True)]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)

    ways = [torch.randn_like(t) for t in found]
    parameters = dict(fw.named_parameters())
    parameters.pop("model.lm_head.weight")
    gradients = [
        torch.autograd.grad(
            sum((o * w).sum() for o, w in zip(outs, ways, strict=True)),
            list(parameters.values()),
            allow_unused=True,
        )
        for outs in (found, expected)
    ]
    for name, a, b in zip(parameters, *gradients, strict=True):
        assert (a is None) == (b is None), name
        if a is not None:
            scale = b.abs().max().clamp_min(1)
            # The norms of transformers round to float32 on the way.
            torch.testing.assert_close(a / scale, b / scale, rtol=0, atol=1e-6, msg=name)


def test_published_start_is_silent_and_copy_start_writes_the_next_token():
    """The two starts: dW = 0, or values that are the next token's hidden state."""
    ids = tokens(1, 8)
    silent = inject(tiny(), settings(init="published")).write(ids).state
    assert all((dw == 0).all() for dw in dense(silent).values())
    fw = inject(tiny(), settings(key_norm="none", chunk=8, layers=(0,)))
    seen = {}
    mlp = fw.model.model.layers[0].mlp
    mlp.register_forward_pre_hook(lambda m, a: seen.update(x=a[0]))
    mlp.down_proj.register_forward_pre_hook(lambda m, a: seen.update(z=a[0]))
    state = fw.write(ids).state
    expected = 0.5 * torch.einsum("td,tf->df", seen["x"][0, 1:], seen["z"][0, :-1])
    torch.testing.assert_close(dense(state)[0][0], expected)
