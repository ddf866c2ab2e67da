"""The Muon optimiser and its orthogonalised matrices."""

import pytest
import torch

from ttt_memory.conversation.train.muon import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 24, 8), (2, 8, 24)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
    assert values.min() > 0.3
    assert values.max() < 1.5


def test_orthogonalising_keeps_singular_vectors():
    torch.manual_seed(0)
    matrix = torch.randn(1, 6, 10, dtype=torch.float64)
    u, _, v = torch.linalg.svd(matrix[0], full_matrices=False)
    rotated = u.mT @ orthogonalise(matrix, steps=8)[0] @ v.mT
    off_diagonal = rotated - torch.diag(rotated.diagonal())
    assert off_diagonal.abs().max() < 1e-8


def test_muon_minimises_a_quadratic():
    torch.manual_seed(0)
    target, weight = torch.randn(6, 4), torch.nn.Parameter(torch.zeros(6, 4))
    optimiser = Muon([weight], lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        (weight - target).square().sum().backward()
        optimiser.step()
    assert (weight - target).norm() < 0.2 * target.norm()
