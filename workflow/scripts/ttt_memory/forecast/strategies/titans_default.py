import torch
from torch import nn
from torch.nn.functional import normalize, silu
from ttt_memory.forecast import network
OPTIONS = {"alpha": 0.999, "eta": 0.9, "theta": 0.01}

def init_memory_state(memory, emb_dim):
    memory.key = nn.Linear(emb_dim, emb_dim, bias=False)
    memory.value = nn.Linear(emb_dim, emb_dim, bias=False)
    weights = network.start(emb_dim, memory.hidden, memory.depth)
    momentum = {f"momentum_{name}": torch.zeros_like(tensor.data) for name, tensor in weights.items()}
    return weights | momentum

def compute_keys_values(memory, x):
    return normalize(silu(memory.key(x)), dim=-1), silu(memory.value(x))

def compute_surprise(memory, state, keys, values, gates):
    output, pullback = network.vjp(state, keys)
    return memory.clip(pullback(2 / keys.shape[1] * (output - values)))

def apply_update(memory, state, surprise, gates):
    alpha, eta, theta = (memory.options[name] for name in ("alpha", "eta", "theta"))
    new = {}
    for name, gradient in surprise.items():
        momentum = eta * state[f"momentum_{name}"] - theta * gradient
        new[f"momentum_{name}"] = momentum
        new[name] = alpha * state[name] + momentum
    return new
