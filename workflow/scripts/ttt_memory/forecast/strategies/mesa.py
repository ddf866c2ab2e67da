import torch
from torch import nn
from torch.nn.functional import logsigmoid, softplus
OPTIONS = {"key_width": 16}

def init_memory_state(memory, emb_dim):
    d = memory.options["key_width"]
    memory.key = nn.Linear(emb_dim, d, bias=False)
    memory.value = nn.Linear(emb_dim, emb_dim, bias=False)
    nn.init.eye_(memory.value.weight)
    nn.init.eye_(memory.key.weight)
    memory.precision = nn.Parameter(torch.full((d,), 0.0))
    memory.prior = nn.Parameter(torch.zeros(d, emb_dim))
    memory.gate = nn.Linear(emb_dim, 2)
    nn.init.zeros_(memory.gate.weight)
    memory.gate.bias.data = torch.tensor([6.0, 0.5413])
    return {"covariance": torch.zeros(1, d, d), "cross": torch.zeros(1, d, emb_dim)}

def compute_keys_values(memory, x):
    return memory.key(x), memory.value(x)

def compute_gates(memory, x):
    forget, write = memory.gate(x).unbind(-1)
    decay = logsigmoid(forget)
    total = decay.cumsum(1)
    return {"weight": torch.exp(total[:, -1:] - total) * softplus(write), "keep": torch.exp(total[:, -1:])}

def compute_surprise(memory, state, keys, values, gates):
    weighted = (keys * gates["weight"].unsqueeze(-1)).transpose(1, 2)
    return {"covariance": weighted @ keys, "cross": weighted @ values}

def apply_update(memory, state, surprise, gates):
    keep = gates["keep"].unsqueeze(-1)
    return {name: torch.addcmul(surprise[name], keep, state[name]) for name in state}

def retrieve(memory, state, queries):
    precision = torch.diag(softplus(memory.precision) + 1e-3)
    solution = torch.linalg.solve(state["covariance"] + precision, state["cross"] + precision @ memory.prior)
    return queries @ solution
