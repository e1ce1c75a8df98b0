"""First and second derivatives of the functions of which frames and their weights are made."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from helpers import CONTRAST
from pet_driver.frames import FrameConstants, environment_frames
from pet_driver.frames.ensembles import Ensembles
from pet_driver.frames.polar import polar
from pet_driver.frames.pruning import contrasted, power_maximum, prune, smooth_maximum
from pet_driver.frames.switches import switch_off, switch_on

POOLED = Ensembles(2, torch.tensor([0, 1, 0]))


def table(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, dtype=torch.float64, generator=generator).requires_grad_()


def check(function, *inputs):
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


@pytest.mark.parametrize("switch", [switch_off, switch_on])
def test_switches(switch):
    """Inside the window, a little outside of the clamped ends, and far outside."""
    x = torch.linspace(0.62, 0.98, 9, dtype=torch.float64).requires_grad_()
    check(lambda x, end: switch(x, end, 0.5), x, table(1) + 0.1)
    outside = torch.tensor([-9.0, 0.0, 1.0 - 1e-7, 2.0 + 1e-7, 9.0], dtype=torch.float64)
    outside = outside.requires_grad_()
    value = switch(outside, 1.0 if switch is switch_on else 2.0, 1.0)
    assert set(value.tolist()) == {0.0, 1.0}
    (slope,) = torch.autograd.grad(value.sum(), outside, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), outside)
    assert (slope == 0.0).all()
    assert (bend == 0.0).all()


def test_lengths_and_directions():
    vectors = (table(3, 2, 3) + 0.1).detach().requires_grad_()
    check(polar, vectors)
    check(lambda v: polar(v)[0], vectors)
    check(lambda v: polar(v)[1], vectors)


@pytest.mark.parametrize("ensembles", [Ensembles(3), POOLED], ids=["centres", "structures"])
def test_means_and_shares(ensembles):
    values, weights, rest = table(3, 2, 4), table(3, 2, 4, seed=1), table(ensembles.count)
    check(lambda v, w: ensembles.mean(v, w), values, weights)
    check(lambda v, w: ensembles.mean(v, w, 2.0), values, weights)
    check(lambda w: ensembles.shares(w), weights)
    check(ensembles.shares, weights, rest)


@pytest.mark.parametrize("ensembles", [Ensembles(3), POOLED], ids=["centres", "structures"])
def test_pruning(ensembles):
    weights, constants = table(3, 2, 4), FrameConstants(pruning_fraction=0.2, pruning_width=0.7)
    check(lambda w: prune(ensembles, w, smooth_maximum(ensembles, w), constants), weights)
    check(lambda w: power_maximum(ensembles, w, 8.0), weights)
    contrast = (-0.2 * table(3, 2, 4, seed=1)).detach().requires_grad_()
    check(lambda w, c: contrasted(ensembles, w, c, CONTRAST.frames), weights, contrast)


@pytest.mark.parametrize("scale", [0.0, 1e-320, 1e-300, 1e-200, 1e-120, 1e-60])
def test_derivatives_of_vanishing_weights_are_finite(scale):
    """Weights of an environment of which all pairs are almost collinear or far away."""
    weights = (scale * table(3, 2, 4).detach()).requires_grad_()
    ensembles, constants = Ensembles(3), FrameConstants()
    largest = smooth_maximum(ensembles, weights)
    results = [
        largest,
        prune(ensembles, weights, largest, constants),
        ensembles.shares(weights, torch.ones(3, dtype=torch.float64)),
        switch_off(largest, 0.5, 0.5),
    ]
    for result in results:
        (slope,) = torch.autograd.grad(result.sum(), weights, create_graph=True)
        (bend,) = torch.autograd.grad((slope * weights).sum(), weights, retain_graph=True)
        assert torch.isfinite(slope).all()
        assert torch.isfinite(bend).all()


@pytest.mark.parametrize(
    "constants", [FrameConstants(), CONTRAST.frames], ids=["paper", "contrast"]
)
def test_frames(constants):
    """Weights and frames of an environment with padding, and with neighbors that are far away."""
    neighbors = [[1.0, 0.1, 0.0], [0.2, 1.1, 0.1], [-0.3, -1.2, 0.4], [3.7, 0.0, 0.4], [0.0] * 3]
    vectors = torch.tensor([neighbors], dtype=torch.float64).requires_grad_()
    valid = torch.tensor([[True] * 4 + [False]])

    def averaged(vectors):
        found = environment_frames(vectors, valid, 4.0, constants)
        return (found.weights[:, None, None] * found.frames).sum(0), found.weights.square().sum()

    check(averaged, vectors)
