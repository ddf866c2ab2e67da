"""The mesa layer: the linear memory that fits all tokens so far best, by recursive least squares.

Uncovering mesa-optimization algorithms in transformers, arXiv 2309.05858, section 4, and
MesaNet, arXiv 2506.05233, section 2:

    M_t = argmin_M  sum_{s <= t} w_s ||M k_s - v_s||^2 + tr (M - M_0) L (M - M_0)^T
        = (V_t + M_0 L) (H_t + L)^-1,   H_t = f_t H_{t-1} + b_t k_t k_t^T,  V_t likewise with v k^T

Forgetting f_t and writing strength b_t depend on the token; the prior M_0 and its precision L
(diagonal) are learned. Keys are linear in the token, and the tokens of the first layer are linear
in the window. So in the first layer this is recursive least squares on the samples of the window,
in a learned basis.
"""

import torch
from torch import nn
from torch.nn.functional import logsigmoid, softplus

OPTIONS = {"key_width": 16, "forget_bias": 6.0}


def init_memory_state(memory, emb_dim):
    width = memory.options["key_width"]
    memory.key = nn.Linear(emb_dim, width, bias=False)
    memory.value = nn.Linear(emb_dim, emb_dim, bias=False)
    nn.init.eye_(memory.key.weight)
    nn.init.eye_(memory.value.weight)
    memory.gate = nn.Linear(emb_dim, 2)
    nn.init.zeros_(memory.gate.weight)
    # At the start all tokens are alike: little is forgotten, and softplus(0.5413) = 1.
    memory.gate.bias.data = torch.tensor([memory.options["forget_bias"], 0.5413])
    memory.precision = nn.Parameter(torch.zeros(width))
    memory.prior = nn.Parameter(torch.zeros(width, emb_dim))
    return {"covariance": torch.zeros(1, width, width), "cross": torch.zeros(1, width, emb_dim)}


def compute_keys_values(memory, x):
    return memory.key(x), memory.value(x)


def compute_gates(memory, x):
    forget, write = memory.gate(x).unbind(-1)
    kept = logsigmoid(forget).cumsum(1)
    # A token decays with each later token of its chunk; the old state decays with all of them.
    weight = torch.exp(kept[:, -1:] - kept) * softplus(write)
    return {"weight": weight, "keep": torch.exp(kept[:, -1])}


def compute_surprise(memory, state, keys, values, gates):
    weighted = (keys * gates["weight"].unsqueeze(-1)).transpose(1, 2)
    return {"covariance": weighted @ keys, "cross": weighted @ values}


def apply_update(memory, state, surprise, gates):
    keep = gates["keep"].view(-1, 1, 1)
    return {name: torch.addcmul(new, keep, state[name]) for name, new in surprise.items()}


def retrieve(memory, state, queries):
    precision = torch.diag(softplus(memory.precision) + 1e-3)
    recall = torch.linalg.solve(
        state["covariance"] + precision, state["cross"] + precision @ memory.prior
    )
    return queries @ recall
