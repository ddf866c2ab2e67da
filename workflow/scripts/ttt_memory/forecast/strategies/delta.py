"""The delta rule on a matrix, token by token, with a learned writing strength and decay.

Gated DeltaNet, arXiv 2412.06464, equation 10 (DeltaNet, arXiv 2406.06484, is a_t = 1):

    M_t = a_t M_{t-1} (I - b_t k_t k_t^T) + b_t v_t k_t^T

All tokens of a chunk are solved at once, because their corrected values U satisfy a triangular
system. With A_t the product of a_r for r up to t:

    (I + tril(diag(b) K K^T * A_t / A_s, -1)) U = diag(b) (V - diag(A) K M_0^T)
    M_C = A_C M_0 + sum_s (A_C / A_s) u_s k_s^T
"""

import torch
from torch import nn
from torch.nn.functional import logsigmoid, normalize, silu

OPTIONS = {"keep_bias": 6.0, "write_bias": 0.0}


def init_memory_state(memory, emb_dim):
    memory.key = nn.Linear(emb_dim, emb_dim, bias=False)
    memory.value = nn.Linear(emb_dim, emb_dim, bias=False)
    memory.gate = nn.Linear(emb_dim, 2)
    nn.init.zeros_(memory.gate.weight)
    memory.gate.bias.data = torch.tensor(
        [memory.options["keep_bias"], memory.options["write_bias"]]
    )
    return {"memory": nn.Parameter(torch.zeros(1, emb_dim, emb_dim))}  # [B, values, keys]


def compute_keys_values(memory, x):
    return normalize(silu(memory.key(x)), dim=-1), memory.value(x)


def compute_gates(memory, x):
    keep, write = memory.gate(x).unbind(-1)
    return {"log_kept": logsigmoid(keep).cumsum(1), "write": torch.sigmoid(write)}


def compute_surprise(memory, state, keys, values, gates):
    kept, write = gates["log_kept"], gates["write"].unsqueeze(-1)
    span = torch.exp((kept.unsqueeze(2) - kept.unsqueeze(1)).clamp_max(0))
    system = write * (keys @ keys.transpose(1, 2)) * span
    recalled = torch.exp(kept).unsqueeze(-1) * (keys @ state["memory"].transpose(1, 2))
    # The solver uses the part below the diagonal only, and ones on the diagonal.
    corrected = torch.linalg.solve_triangular(
        system, write * (values - recalled), upper=False, unitriangular=True
    )
    weight = torch.exp(kept[:, -1:] - kept).unsqueeze(-1)
    return {"memory": (weight * corrected).transpose(1, 2) @ keys}


def apply_update(memory, state, surprise, gates):
    keep = torch.exp(gates["log_kept"][:, -1]).view(-1, 1, 1)
    return {"memory": torch.addcmul(surprise["memory"], keep, state["memory"])}


def retrieve(memory, state, queries):
    return queries @ state["memory"].transpose(1, 2)
