"""Titans' memory with fixed rates: squared error, gradient descent with momentum and decay.

Titans, arXiv 2501.00663, equations 8 to 14, with constant alpha, eta and theta:

    S_i = eta S_{i-1} - theta grad mean_t ||M_{i-1}(k_t) - v_t||^2
    M_i = alpha M_{i-1} + S_i

alpha is the part of the memory that is kept (the paper calls it 1 - alpha); the mean is over the
tokens of the chunk.
"""

import torch

from ttt_memory.forecast import network, packed

OPTIONS = {"alpha": 0.999, "eta": 0.9, "theta": 0.05}


def init_memory_state(memory, emb_dim):
    network.add_projections(memory, emb_dim)
    weights = packed.start(emb_dim, memory.hidden, memory.depth)
    return weights | {"momentum": torch.zeros_like(weights["weights"].data)}


def compute_keys_values(memory, x):
    return network.keys_values(memory, x)


def compute_surprise(memory, state, keys, values, gates):
    recalled, pullback = packed.vjp(memory, state["weights"], keys)
    gradient = pullback((recalled - values) * (2 / keys.shape[1]))
    return memory.clip({"weights": gradient})


def apply_update(memory, state, surprise, gates):
    alpha, eta, theta = (memory.options[name] for name in ("alpha", "eta", "theta"))
    momentum = torch.add(eta * state["momentum"], surprise["weights"], alpha=-theta)
    return {"weights": torch.add(momentum, state["weights"], alpha=alpha), "momentum": momentum}


def retrieve(memory, state, queries):
    return packed.forward(memory, state["weights"], queries)
