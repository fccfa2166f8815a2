"""Muon against the singular value decomposition that it approximates."""

import pytest
import torch

from ingredients.training.loop.optimizers import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (7, 7)])
def test_orthogonalise_keeps_singular_vectors_and_flattens_values(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    rotated = left.T @ orthogonalise(matrix) @ right.T  # diagonal, if the singular vectors are kept
    diagonal = rotated.diagonal()
    assert torch.allclose(rotated, torch.diag(diagonal), atol=1e-4)
    kept = diagonal[values > 0.1 * values.max()]
    assert ((kept > 0.6) & (kept < 1.3)).all()


def test_a_step_moves_by_the_learning_rate_whatever_the_gradient_is_worth() -> None:
    steps = []
    for size in (1e-3, 1e3):
        parameter = torch.nn.Parameter(torch.zeros(6, 4))
        parameter.grad = size * torch.randn(6, 4, generator=torch.Generator().manual_seed(2))
        Muon([{"params": [parameter]}], lr=0.1).step()
        steps.append(parameter.detach())
    assert torch.allclose(steps[0], steps[1], atol=1e-5)
    assert 0.005 < float(steps[0].square().mean().sqrt()) < 0.05  # about 0.2 lr, as AdamW's


def test_bfloat16_gives_nearly_the_same_step() -> None:
    steps = []
    for dtype in (torch.float32, torch.bfloat16):
        parameter = torch.nn.Parameter(torch.zeros(6, 4))
        parameter.grad = torch.randn(6, 4, generator=torch.Generator().manual_seed(2))
        Muon([{"params": [parameter]}], lr=0.1, dtype=dtype).step()
        assert parameter.dtype == torch.float32
        steps.append(parameter.detach())
    assert torch.allclose(steps[0], steps[1], atol=2e-3)
    assert not torch.equal(steps[0], steps[1])


def test_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="matrices only"):
        Muon([{"params": [torch.nn.Parameter(torch.zeros(3))]}])
