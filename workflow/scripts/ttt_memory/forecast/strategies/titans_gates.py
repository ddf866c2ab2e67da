"""Titans' memory with learned gates: each token sets the rates of its own update.

Titans, arXiv 2501.00663, equations 9, 10, 13 and 14, with alpha_t, eta_t and theta_t functions of
the token. As in section 3.2, every gradient g_t of a chunk is taken at the start of the chunk, so
the recurrence over its tokens

    S_t = eta_t S_{t-1} - theta_t g_t,    M_t = (1 - alpha_t) M_{t-1} + S_t

is linear. It ends with a weighted sum of the g_t, whose weights depend on the gates alone:

    S_C = (prod_r eta_r) S_0 - sum_s theta_s (prod_{r>s} eta_r) g_s
    M_C = (prod_r (1 - alpha_r)) M_0 + carry S_0 - sum_s theta_s reach_s g_s
    reach_s = sum_{t>=s} (prod_{r>t} (1 - alpha_r)) (prod_{s<r<=t} eta_r)
    carry = sum_t (prod_{r>t} (1 - alpha_r)) (prod_{r<=t} eta_r)
"""

import torch
from torch import nn
from torch.nn.functional import logsigmoid, softplus

from ttt_memory.forecast import network, packed

# Rates of one token at the start; those of a chunk are about its length times as large.
OPTIONS = {"keep_bias": 7.0, "eta_bias": 1.0, "theta_bias": -4.0}


def init_memory_state(memory, emb_dim):
    network.add_projections(memory, emb_dim)
    memory.gate = nn.Linear(emb_dim, 3)
    nn.init.zeros_(memory.gate.weight)
    biases = [memory.options[name] for name in ("keep_bias", "eta_bias", "theta_bias")]
    memory.gate.bias.data = torch.tensor(biases)
    weights = packed.start(emb_dim, memory.hidden, memory.depth)
    return weights | {"momentum": torch.zeros_like(weights["weights"].data)}


def compute_keys_values(memory, x):
    return network.keys_values(memory, x)


def compute_gates(memory, x):
    keep, eta, theta = memory.gate(x).unbind(-1)
    kept = logsigmoid(keep).cumsum(1)
    carried = logsigmoid(eta).cumsum(1)
    after = torch.exp(kept[:, -1:] - kept)  # prod_{r>t} (1 - alpha_r)
    # Entry [t, s] is the product of eta over s < r <= t, and zero for s > t.
    span = torch.exp((carried.unsqueeze(2) - carried.unsqueeze(1)).clamp_max(0)).tril()
    reach = (after.unsqueeze(1) @ span)[:, 0]
    rate = softplus(theta)
    return {
        "alpha": 1 - torch.sigmoid(keep),
        "eta": torch.sigmoid(eta),
        "theta": rate,
        "memory_rate": rate * reach,
        "momentum_rate": rate * torch.exp(carried[:, -1:] - carried),
        "keep_memory": torch.exp(kept[:, -1]),
        "keep_momentum": torch.exp(carried[:, -1]),
        "carry": (after * torch.exp(carried)).sum(1),
    }


def compute_surprise(memory, state, keys, values, gates):
    recalled, pullback = packed.vjp(memory, state["weights"], keys)
    error = 2 * (recalled - values)
    rates = {"weights": gates["memory_rate"], "momentum": gates["momentum_rate"]}
    return memory.clip({name: pullback(error * rate.unsqueeze(-1)) for name, rate in rates.items()})


def apply_update(memory, state, surprise, gates):
    keep_memory, keep_momentum, carry = (
        gates[name].unsqueeze(1) for name in ("keep_memory", "keep_momentum", "carry")
    )
    kept = keep_memory * state["weights"]
    return {
        "weights": torch.addcmul(kept, carry, state["momentum"]) - surprise["weights"],
        "momentum": keep_momentum * state["momentum"] - surprise["momentum"],
    }


def retrieve(memory, state, queries):
    return packed.forward(memory, state["weights"], queries)
