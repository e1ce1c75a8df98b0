import pytest
import torch

from pet_driver.frames.switches import smooth_step, switch_off, switch_on
from pet_driver.model.cutoffs import bump_cutoff, cosine_cutoff


@pytest.mark.parametrize("function", [bump_cutoff, cosine_cutoff])
def test_cutoff_is_one_inside_and_zero_outside(function):
    r = torch.tensor([0.5, 2.9, 4.0, 5.0], dtype=torch.float64)
    factor, logarithm = function(r, 4.0, 1.0)
    assert factor.tolist() == pytest.approx([1.0, 1.0, 0.0, 0.0], abs=1e-15)
    assert torch.isfinite(logarithm).all()


def test_bump_matches_its_formula():
    r = torch.linspace(3.05, 3.95, 19, dtype=torch.float64)
    factor, logarithm = bump_cutoff(r, 4.0, 1.0)
    formula = 0.5 * (1.0 + torch.tanh(1.0 / torch.tan(torch.pi * (r - 3.0))))
    torch.testing.assert_close(factor, formula, rtol=0, atol=1e-15)
    torch.testing.assert_close(logarithm.exp(), factor, rtol=1e-12, atol=0)


def test_steps_are_flat_at_both_ends():
    for u in (-1.0, 1.0):
        x = torch.tensor(u, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(smooth_step(x), x, create_graph=True)
        assert slope.item() == 0.0
    assert switch_off(torch.tensor(2.0), 2.0, 0.5) == 0.0
    assert switch_on(torch.tensor(2.5), 2.0, 0.5) == 1.0
