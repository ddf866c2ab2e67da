"""Yaad: a Huber-like surprise, which bounds how far an outlier can move the memory.

MIRAS, arXiv 2504.13173, section 5.3. The loss of a token is its squared error if the error is
shorter than delta_t, and the length of the error otherwise. delta_t, the rate and the retention
are learned functions of the token:

    W_t = alpha_t W_{t-1} - theta_t grad ||e_t||^2          if ||e_t|| <= delta_t
    W_t = alpha_t W_{t-1} - theta_t delta_t grad ||e_t||    otherwise

This is as printed there: at the threshold the step falls from 2 delta to delta, where Huber's loss
would keep 2 delta. The gradients of a chunk are taken at its start, as in Titans, section 3.2.
"""

import torch
from torch import nn
from torch.nn.functional import logsigmoid, softplus

from ttt_memory.forecast import network, packed

OPTIONS = {"keep_bias": 7.0, "theta_bias": -3.0, "delta_bias": 0.5}


def init_memory_state(memory, emb_dim):
    network.add_projections(memory, emb_dim)
    memory.gate = nn.Linear(emb_dim, 3)
    nn.init.zeros_(memory.gate.weight)
    biases = [memory.options[name] for name in ("keep_bias", "theta_bias", "delta_bias")]
    memory.gate.bias.data = torch.tensor(biases)
    return packed.start(emb_dim, memory.hidden, memory.depth)


def compute_keys_values(memory, x):
    return network.keys_values(memory, x)


def compute_gates(memory, x):
    keep, theta, delta = memory.gate(x).unbind(-1)
    kept = logsigmoid(keep).cumsum(1)
    return {
        "rate": softplus(theta) * torch.exp(kept[:, -1:] - kept),
        "delta": softplus(delta),
        "keep": torch.exp(kept[:, -1]),
    }


def compute_surprise(memory, state, keys, values, gates):
    recalled, pullback = packed.vjp(memory, state["weights"], keys)
    error = recalled - values
    length = torch.sqrt(error.square().sum(-1) + 1e-12)
    # grad ||e||^2 = 2 e and delta grad ||e|| = delta e / ||e||: both are e times a weight.
    weight = torch.where(length <= gates["delta"], 2.0, gates["delta"] / length)
    gradient = pullback((gates["rate"] * weight).unsqueeze(-1) * error)
    return memory.clip({"weights": gradient})


def apply_update(memory, state, surprise, gates):
    return {"weights": gates["keep"].unsqueeze(1) * state["weights"] - surprise["weights"]}


def retrieve(memory, state, queries):
    return packed.forward(memory, state["weights"], queries)
