"""Titans' memory with orthogonalised momentum, so that a step has equal size in all directions.

Muon (Jordan et al., 2024, kellerjordan.github.io/posts/muon), as the inner optimiser of Atlas
(arXiv 2505.23735, equations 32 and 33): S <- eta S + grad, M <- alpha M - theta NS(S), where
NS brings the singular values of a matrix near 1 by Newton-Schulz steps

    X <- a X + (b A + c A^2) X,   A = X X^T,   X_0 = S / ||S||

The momentum of a bias is scaled in the same way, towards length 1. There are three iterations,
where Muon has five, so small singular values come only part of the way.
"""

import torch

from ttt_memory.forecast import network

OPTIONS = {"alpha": 0.999, "eta": 0.9, "theta": 0.02, "iterations": 3}
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


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
        momentum = torch.add(gradient, state[f"momentum_{name}"], alpha=eta)
        new[f"momentum_{name}"] = momentum
        matrix = momentum if momentum.dim() == 3 else momentum.unsqueeze(1)
        step = orthogonalise(matrix, memory.options["iterations"]).view_as(momentum)
        new[name] = torch.add(alpha * state[name], step, alpha=-theta)
    return new


def orthogonalise(matrix, iterations):
    """Matrices [B, m, n] with all singular values moved towards 1."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[1] > matrix.shape[2]
    x = matrix.transpose(1, 2) if tall else matrix
    x = x * torch.rsqrt(x.square().sum((1, 2), keepdim=True) + 1e-12)
    for _ in range(iterations):
        gram = x @ x.transpose(1, 2)
        x = a * x + torch.baddbmm(gram, gram, gram, beta=b, alpha=c) @ x
    return x.transpose(1, 2) if tall else x
