"""The Omega rule: each update learns from a window of past tokens, not only from the newest.

Atlas, arXiv 2505.23735, section 3.2, equation 9, with momentum and decay as in Titans:

    L_t = sum_{s = t - c + 1}^{t} gamma_s ||M(k_s) - v_s||^2

Here t is the last token of a chunk, and the window is the chunk and the `past` tokens before it.
The weights gamma of the past tokens are learned, one for each age.
"""

import torch
from torch import nn
from torch.nn.functional import softplus

from ttt_memory.forecast import network, packed

OPTIONS = {"past": 32, "alpha": 0.999, "eta": 0.9, "theta": 0.05}


def init_memory_state(memory, emb_dim):
    network.add_projections(memory, emb_dim)
    past = memory.options["past"]
    memory.age = nn.Parameter(torch.zeros(past))
    weights = packed.start(emb_dim, memory.hidden, memory.depth)
    window = {
        "past_keys": torch.zeros(1, past, emb_dim),
        "past_values": torch.zeros(1, past, emb_dim),
        "past_known": torch.zeros(1, past),
    }
    return weights | {"momentum": torch.zeros_like(weights["weights"].data)} | window


def compute_keys_values(memory, x):
    return network.keys_values(memory, x)


def compute_gates(memory, x):
    # A token of the chunk has weight 1; an older one softplus(0) = 0.69 before training.
    gamma = torch.cat([softplus(memory.age), memory.age.new_ones(x.shape[1])])
    return {"gamma": gamma.expand(len(x), -1)}


def compute_surprise(memory, state, keys, values, gates):
    all_keys = torch.cat([state["past_keys"], keys], 1)
    all_values = torch.cat([state["past_values"], values], 1)
    known = torch.cat([state["past_known"], torch.ones_like(keys[..., 0])], 1)
    past, gamma = memory.options["past"], gates["gamma"] * known
    recalled, pullback = packed.vjp(memory, state["weights"], all_keys)
    error = 2 * gamma / gamma.sum(1, keepdim=True)
    gradient = pullback(error.unsqueeze(-1) * (recalled - all_values))
    window = {"past_keys": all_keys, "past_values": all_values, "past_known": known}
    window = {name: tensor[:, -past:] for name, tensor in window.items()}
    return memory.clip({"weights": gradient}) | window


def apply_update(memory, state, surprise, gates):
    alpha, eta, theta = (memory.options[name] for name in ("alpha", "eta", "theta"))
    momentum = torch.add(eta * state["momentum"], surprise["weights"], alpha=-theta)
    weights = torch.add(momentum, state["weights"], alpha=alpha)
    return surprise | {"weights": weights, "momentum": momentum}


def retrieve(memory, state, queries):
    return packed.forward(memory, state["weights"], queries)
