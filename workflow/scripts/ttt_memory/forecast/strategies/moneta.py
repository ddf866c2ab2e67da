"""Moneta: L_p surprise and L_q retention.

MIRAS, arXiv 2504.13173, section 5.3, equations 24 and 25: with e = M(k) - v,

    A_t = alpha_t A_{t-1} - theta_t grad ||e_t||_p^p,    W_t = A_t / ||A_t||_q^(q - 2)

Here sign(x) and |x| are smoothed to tanh(x / s) and sqrt(x^2 + s^2). The state holds A, from which
the weights W of the network follow. Gradients are taken at the start of the chunk.
"""

import torch
from torch import nn
from torch.nn.functional import logsigmoid, softplus

from ttt_memory.forecast import network

OPTIONS = {"p": 3.0, "q": 4.0, "smoothing": 0.1, "keep_bias": 7.0, "theta_bias": -4.0}


def init_memory_state(memory, emb_dim):
    network.add_projections(memory, emb_dim)
    memory.gate = nn.Linear(emb_dim, 2)
    nn.init.zeros_(memory.gate.weight)
    memory.gate.bias.data = torch.tensor(
        [memory.options["keep_bias"], memory.options["theta_bias"]]
    )
    q = memory.options["q"]
    if q == 3:
        raise ValueError("option q is 3, expected another value: the start has no solution there")
    weights = network.start(emb_dim, memory.hidden, memory.depth)
    # A = W / ||W||_q^((q - 2) / (q - 3)) is the A that gives the weights W.
    return {
        name: nn.Parameter(weight.data / weight.data.norm(q) ** ((q - 2) / (q - 3)))
        for name, weight in weights.items()
    }


def compute_keys_values(memory, x):
    return network.keys_values(memory, x)


def compute_gates(memory, x):
    keep, theta = memory.gate(x).unbind(-1)
    kept = logsigmoid(keep).cumsum(1)
    rate = softplus(theta) * torch.exp(kept[:, -1:] - kept)
    return {"rate": rate, "keep": torch.exp(kept[:, -1])}


def compute_surprise(memory, state, keys, values, gates):
    p, smoothing = memory.options["p"], memory.options["smoothing"]
    recalled, pullback = network.vjp(weights(memory, state), keys)
    error = recalled - values
    size = (error.square() + smoothing**2) ** ((p - 1) / 2)
    slope = p * torch.tanh(error / smoothing) * size
    return memory.clip(pullback(gates["rate"].unsqueeze(-1) * slope))


def apply_update(memory, state, surprise, gates):
    return {
        name: gates["keep"].view(-1, *[1] * (step.dim() - 1)) * state[name] - step
        for name, step in surprise.items()
    }


def retrieve(memory, state, queries):
    return network.forward(weights(memory, state), queries)


def weights(memory, state):
    """The weights W that follow from the state A, both [B, ...]; each series is normalised."""
    q = memory.options["q"]
    found = {}
    for name, tensor in state.items():
        power = (tensor.flatten(1) ** 2).clamp_min(1e-24) ** (q / 2)
        norm = power.sum(1) ** ((q - 2) / q)
        found[name] = tensor / norm.view(-1, *[1] * (tensor.dim() - 1))
    return found
