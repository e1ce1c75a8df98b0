"""Muon: its steps are those of torch's, apart from the precision."""

import pytest
import torch

from pet_driver.training.muon import Muon, orthogonalized

SHAPES = [(8, 16), (8, 16), (16, 8), (12, 12), (3, 20)]


def test_steps_of_torchs_muon():
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    theirs = [torch.nn.Parameter(x.detach().clone()) for x in ours]
    start = [x.detach().clone() for x in ours]
    kind = {"lr": 0.01, "weight_decay": 0.1}
    optimizers = (
        Muon(ours, **kind),
        torch.optim.Muon(theirs, **kind, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(4):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for mine, other, first in zip(ours, theirs, start, strict=True):
        moved = (other - first).norm()
        assert (mine - other).norm() < 0.03 * moved  # bfloat16 has three digits
        assert moved > 0.01


def test_matrices_of_any_scale_become_nearly_orthogonal():
    torch.manual_seed(0)
    scales = torch.tensor([1e-6, 1.0, 1e6], dtype=torch.float64)[:, None, None]
    for shape in ((10, 30), (30, 10)):
        matrices = scales * torch.randn(3, *shape, dtype=torch.float64)
        found = orthogonalized(matrices)
        values = torch.linalg.svdvals(found)
        assert values.min() > 0.6
        assert values.max() < 1.3
        left, _, right = torch.linalg.svd(matrices, full_matrices=False)
        turned = left.mT @ found @ right.mT  # diagonal, if the singular vectors are the same
        assert (turned - torch.diag_embed(turned.diagonal(dim1=1, dim2=2))).abs().max() < 1e-6


def test_a_zero_gradient_changes_nothing_and_without_one_a_matrix_is_left_out():
    weights = [torch.nn.Parameter(torch.ones(4, 6)), torch.nn.Parameter(torch.ones(4, 6))]
    optimizer = Muon(weights, lr=0.1, weight_decay=0.0)
    weights[0].grad = torch.zeros(4, 6)
    optimizer.step()
    assert all(torch.equal(x, torch.ones(4, 6)) for x in weights)
    assert list(optimizer.state) == [weights[0]]


def test_a_closure_is_refused():
    optimizer = Muon([torch.nn.Parameter(torch.ones(2, 2))], lr=0.1, weight_decay=0.0)
    with pytest.raises(NotImplementedError, match="closure"):
        optimizer.step(lambda: 0.0)
