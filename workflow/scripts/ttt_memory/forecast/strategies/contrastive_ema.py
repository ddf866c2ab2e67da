"""Contrastive surprise; the memory is read from a moving average of its weights.

What is recalled for a key must be closer to its own value than to the values of the other tokens
of its chunk (InfoNCE, van den Oord et al., arXiv 1807.03748, equation 4). With y = M(k):

    L = -mean_t log softmax_s(<y_t, v_s> / tau)[t],   dL/dy_t = (sum_s p_ts v_s - v_t) / (N tau)

One set of weights takes the gradient step. The memory is read with their exponential moving
average (Tarvainen and Valpola, arXiv 1703.01780, equation 1), which chunks of noise disturb less.
"""

import torch
from torch.nn.functional import normalize

from ttt_memory.forecast import network, packed

OPTIONS = {"temperature": 0.2, "rate": 0.1, "keep": 0.999, "decay": 0.8}


def init_memory_state(memory, emb_dim):
    network.add_projections(memory, emb_dim)
    weights = packed.start(emb_dim, memory.hidden, memory.depth)
    # The stepped weights minus their average: zero, so both begin at the learned start.
    return weights | {"lead": torch.zeros_like(weights["weights"].data)}


def compute_keys_values(memory, x):
    keys, values = network.keys_values(memory, x)
    return keys, normalize(values, dim=-1)


def compute_surprise(memory, state, keys, values, gates):
    recalled, pullback = packed.vjp(memory, state["weights"] + state["lead"], keys)
    temperature = memory.options["temperature"]
    shares = torch.softmax(recalled @ values.transpose(1, 2) / temperature, -1)
    error = (shares @ values - values) / (temperature * keys.shape[1])
    return memory.clip({"weights": pullback(error)})


def apply_update(memory, state, surprise, gates):
    rate, keep, decay = (memory.options[name] for name in ("rate", "keep", "decay"))
    stepped = keep * (state["weights"] + state["lead"]) - rate * surprise["weights"]
    average = torch.lerp(stepped, state["weights"], decay)
    return {"weights": average, "lead": stepped - average}


def retrieve(memory, state, queries):
    return packed.forward(memory, state["weights"], queries)
