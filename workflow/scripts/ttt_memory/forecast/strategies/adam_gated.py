"""Adam on the weights of the memory, for tokens whose error is large.

Kingma and Ba, arXiv 1412.6980, algorithm 1, on Titans' squared error (arXiv 2501.00663,
equation 12). A token is written when its squared error exceeds `threshold` times the moving average
of squared errors in its series. A chunk without such a token changes no weight.
"""

import torch

from ttt_memory.forecast import network, packed

OPTIONS = {"threshold": 0.5, "rate": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 0.001}


def init_memory_state(memory, emb_dim):
    network.add_projections(memory, emb_dim)
    weights = packed.start(emb_dim, memory.hidden, memory.depth)
    moments = {name: torch.zeros_like(weights["weights"].data) for name in ("mean", "square")}
    # The average starts at zero, so the first chunk is written whole.
    return weights | moments | {"steps": torch.zeros(1, 1), "typical": torch.zeros(1, 1)}


def compute_keys_values(memory, x):
    return network.keys_values(memory, x)


def compute_surprise(memory, state, keys, values, gates):
    recalled, pullback = packed.vjp(memory, state["weights"], keys)
    error = recalled - values
    size = error.detach().square().sum(-1)  # [B, N]
    surprising = (size > memory.options["threshold"] * state["typical"]).to(error.dtype)
    count = surprising.sum(1, keepdim=True)
    share = surprising / count.clamp_min(1)
    gradient = memory.clip({"weights": pullback(2 * error * share.unsqueeze(-1))})
    return gradient | {"open": (count > 0).to(error.dtype), "size": size.mean(1, keepdim=True)}


def apply_update(memory, state, surprise, gates):
    names = ("rate", "beta1", "beta2", "epsilon")
    rate, beta1, beta2, epsilon = (memory.options[name] for name in names)
    opened = surprise["open"]
    steps = state["steps"] + opened
    first = torch.where(state["steps"] == 0, surprise["size"], state["typical"])
    typical = 0.9 * first + 0.1 * surprise["size"]
    # A series of which nothing was written yet counts one step, to avoid a division by zero.
    correct1 = 1 - beta1 ** steps.clamp_min(1)
    correct2 = 1 - beta2 ** steps.clamp_min(1)
    gradient = surprise["weights"]
    mean = torch.lerp(state["mean"], gradient, opened * (1 - beta1))
    square = torch.lerp(state["square"], gradient.square(), opened * (1 - beta2))
    # With epsilon inside the root, the gradient is finite at zero.
    scale = torch.rsqrt(square / correct2 + epsilon**2)
    weights = state["weights"] - (rate * opened / correct1) * mean * scale
    moments = {"mean": mean, "square": square}
    return {"weights": weights, **moments, "steps": steps, "typical": typical}


def retrieve(memory, state, queries):
    return packed.forward(memory, state["weights"], queries)
