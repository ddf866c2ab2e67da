"""Titans' memory with orthogonalised momentum, so that a step has equal size in all directions.

Muon (Jordan et al., 2024, kellerjordan.github.io/posts/muon), as the inner optimiser of Atlas
(arXiv 2505.23735, equations 32 and 33): S <- eta S + grad, M <- alpha M - theta NS(S), where
NS brings the singular values of a matrix near 1 by Newton-Schulz steps

    X <- a X + (b A + c A^2) X,   A = X X^T,   X_0 = S / ||S||

The momentum of a bias is scaled in the same way, towards length 1. There are three iterations,
where Muon has five, so small singular values come only part of the way.
"""

import torch

from ttt_memory.forecast import network, packed

OPTIONS = {"alpha": 0.999, "eta": 0.9, "theta": 0.02, "iterations": 3}
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


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
    momentum = torch.add(surprise["weights"], state["momentum"], alpha=eta)
    parts = packed.unpack(memory, momentum)
    step = packed.pack(steps_of(parts, memory.options["iterations"]))
    weights = torch.add(alpha * state["weights"], step, alpha=-theta)
    return {"weights": weights, "momentum": momentum}


def retrieve(memory, state, queries):
    return packed.forward(memory, state["weights"], queries)


def steps_of(momentum, iterations):
    """`orthogonalise` of each weight and bias; weights of one shape, or its transpose, together."""
    steps, alike = {}, {}
    for name, part in momentum.items():
        if part.dim() == 2:
            steps[name] = part * _levelling(part, iterations)
        else:
            alike.setdefault(tuple(sorted(part.shape[1:])), []).append(name)
    for names in alike.values():
        wide = torch.cat([_turned(momentum[name], momentum[name]) for name in names])
        done = orthogonalise(wide, iterations).chunk(len(names))
        steps |= {
            name: _turned(step, momentum[name]) for name, step in zip(names, done, strict=True)
        }
    return steps


def _turned(matrix, original):
    """`matrix` [B, m, n], or its transpose if `original` is taller than wide."""
    return matrix.transpose(1, 2) if original.shape[1] > original.shape[2] else matrix


def _levelling(vector, iterations):
    """The factor by which `orthogonalise` multiplies a vector [B, n], in closed form.

    The only singular value of a vector is its length.
    """
    a, b, c = COEFFICIENTS
    square = vector.square().sum(1, keepdim=True)
    factor = torch.rsqrt(square + 1e-12)
    square = square * factor.square()
    for _ in range(iterations):
        step = a + square * (b + c * square)
        factor, square = factor * step, square * step.square()
    return factor


def orthogonalise(matrix, iterations):
    """Matrices [B, m, n], m <= n, with all singular values moved towards 1."""
    a, b, c = COEFFICIENTS
    x = matrix * torch.rsqrt(matrix.square().sum((1, 2), keepdim=True) + 1e-12)
    for _ in range(iterations):
        gram = torch.bmm(x, x.transpose(1, 2))
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x
