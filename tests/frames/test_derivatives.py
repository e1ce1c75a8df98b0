"""First and second derivatives of the functions of which frames and their weights are made."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from helpers import CONTRAST
from pet_driver.frames import FrameConstants, environment_frames
from pet_driver.frames.ensembles import Ensembles
from pet_driver.frames.pair_weights import pair_weights
from pet_driver.frames.pruning import contrasted, power_maximum, prune, smooth_maximum
from pet_driver.frames.switches import switch_off, switch_on
from pet_driver.runtime.table_sizes import MeasuredSizes

POOLED = Ensembles(2, torch.tensor([0, 1, 0]))


def table(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, dtype=torch.float64, generator=generator).requires_grad_()


def check(function, *inputs):
    """First derivatives, as written out and as recorded to be differentiated again, and second."""
    assert gradcheck(function, inputs)
    results = function(*inputs)
    total = sum(x.sin().sum() for x in (results if isinstance(results, tuple) else (results,)))
    written = torch.autograd.grad(total, inputs, retain_graph=True)
    recorded = torch.autograd.grad(total, inputs, create_graph=True)
    for x, y in zip(written, recorded, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)
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


@pytest.mark.parametrize("ensembles", [Ensembles(3), POOLED], ids=["centres", "structures"])
def test_shares(ensembles):
    weights, rest = table(3, 2, 4, seed=1), table(ensembles.count)
    check(lambda w, r: ensembles.relative(w, r, 0.7), weights, rest)
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
        *prune(ensembles, weights, largest, constants),
        ensembles.shares(weights, torch.ones(3, dtype=torch.float64)),
        switch_off(largest, 0.5, 0.5),
    ]
    for result in results:
        (slope,) = torch.autograd.grad(result.sum(), weights, create_graph=True)
        (bend,) = torch.autograd.grad((slope * weights).sum(), weights, retain_graph=True)
        assert torch.isfinite(slope).all()
        assert torch.isfinite(bend).all()


NEIGHBORS = [[1.0, 0.1, 0.0], [0.2, 1.1, 0.1], [-0.3, -1.2, 0.4], [3.7, 0.0, 0.4], [0.0] * 3]
NARROW_AXES = FrameConstants(margin=0.5, axis_margin=0.5, pruning_fraction=0.3, pruning_width=0.7)


def environment():
    """Vectors with padding, and with a neighbor that is far away, and which of them are valid."""
    vectors = torch.tensor([NEIGHBORS], dtype=torch.float64).requires_grad_()
    return vectors, torch.tensor([[True] * 4 + [False]])


@pytest.mark.parametrize(
    "constants",
    [FrameConstants(), CONTRAST.frames, NARROW_AXES],
    ids=["paper", "contrast", "narrow"],
)
def test_frames(constants):
    """Averages of frames and weights."""
    vectors, valid = environment()

    def averaged(vectors):
        found = environment_frames(vectors, valid, 4.0, constants)
        return (found.weights[:, None, None] * found.frames).sum(0), found.weights.square().sum()

    check(averaged, vectors)


@pytest.mark.parametrize("constants", [FrameConstants(), NARROW_AXES], ids=["paper", "narrow"])
def test_tables_of_pairs(constants):
    """Each of the tables on its own, and all of them together."""
    vectors, valid = environment()

    def found(vectors):
        return pair_weights(vectors, valid, 4.0, constants, MeasuredSizes())

    check(lambda v: tuple(found(v)), vectors)
    for k in range(4):
        check(lambda v, k=k: found(v)[k], vectors)
