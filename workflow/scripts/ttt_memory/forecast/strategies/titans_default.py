"""Titans' memory with fixed rates: squared error, gradient descent with momentum and decay.

Titans, arXiv 2501.00663, equations 8 to 14, with constant alpha, eta and theta:

    S_i = eta S_{i-1} - theta grad mean_t ||M_{i-1}(k_t) - v_t||^2
    M_i = alpha M_{i-1} + S_i

alpha is the part of the memory that is kept (the paper calls it 1 - alpha); the mean is over the
tokens of the chunk.
"""

import torch

from ttt_memory.forecast import network

OPTIONS = {"alpha": 0.999, "eta": 0.9, "theta": 0.05}


def init_memory_state(memory, emb_dim):
    network.add_projections(memory, emb_dim)
    weights = network.start(emb_dim, memory.hidden, memory.depth)
    return weights | network.zeros(weights, "momentum_")


def compute_keys_values(memory, x):
    return network.keys_values(memory, x)


def compute_surprise(memory, state, keys, values, gates):
    recalled, pullback = network.vjp(state, keys)
    return memory.clip(pullback((recalled - values) * (2 / keys.shape[1])))


def apply_update(memory, state, surprise, gates):
    alpha, eta, theta = (memory.options[name] for name in ("alpha", "eta", "theta"))
    new = {}
    for name, gradient in surprise.items():
        momentum = torch.add(eta * state[f"momentum_{name}"], gradient, alpha=-theta)
        new[f"momentum_{name}"] = momentum
        new[name] = torch.add(momentum, state[name], alpha=alpha)
    return new
