"""Second derivatives written by hand against torch's own."""

import pytest
import torch
from torch import nn

from pet_driver.model.twice_differentiable import LayerNorm, silu, softmax


def norms():
    torch.manual_seed(0)
    ours, theirs = LayerNorm(6).double(), nn.LayerNorm(6).double()
    nn.init.normal_(ours.weight)
    nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def derivatives(function, x, parameters=()):
    """Value, first derivative, and derivatives of a functional of both."""
    x = x.clone().requires_grad_(True)
    y = function(x)
    (slope,) = torch.autograd.grad((y * torch.cos(y)).sum(), x, create_graph=True)
    functional = (slope**2).sum() + torch.sin(y).sum()
    return [y, slope, *torch.autograd.grad(functional, (x, *parameters))]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (silu, nn.functional.silu),
        (softmax, lambda x: torch.softmax(x, -1)),
        norms(),
    ],
    ids=["silu", "softmax", "layer norm"],
)
def test_same_derivatives_as_torch(ours, theirs):
    x = torch.randn(3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights = [list(f.parameters()) if isinstance(f, nn.Module) else [] for f in (ours, theirs)]
    found = derivatives(ours, x, weights[0])
    expected = derivatives(theirs, x, weights[1])
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_finite_differences():
    ours, _ = norms()
    x = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    for function in (silu, softmax, ours):
        assert torch.autograd.gradcheck(function, x)
        assert torch.autograd.gradgradcheck(function, x)
