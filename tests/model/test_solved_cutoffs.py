"""The search for adaptive cutoffs against bisection, in thousands of random environments."""

import itertools

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pet_driver.model.adaptive_cutoff import solved_cutoffs
from pet_driver.model.cutoffs import bump_cutoff

CENTRES = 64
KINDS = ("uniform", "volume", "shells", "one distance")
WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal")


class NoWait(TorchDispatchMode):
    """Context in which operations fail for whose results a host would wait."""

    def __torch_dispatch__(self, func, _types, args=(), kwargs=None):
        assert func._schema.name.split("::")[1] not in WAITS
        return func(*args, **(kwargs or {}))


def environments(kind, count, largest, generator):
    """Distances and which of them are valid, (CENTRES, count) each; some centres have none."""

    def uniform(*shape):
        return torch.rand(shape, dtype=torch.float64, generator=generator)

    lengths = largest * uniform(CENTRES, count)
    if kind == "volume":
        lengths = largest * uniform(CENTRES, count) ** (1.0 / 3.0)
    elif kind == "shells":
        shells = torch.randint(1, 8, (CENTRES, count), generator=generator)
        lengths = (shells + 1e-3 * uniform(CENTRES, count)) * largest / 8.0
    elif kind == "one distance":
        lengths = largest * uniform(CENTRES, 1).repeat(1, count)
    return lengths, uniform(CENTRES, count) < 1.3 * uniform(CENTRES, 1)


def cases():
    """Environments, number of neighbors, largest cutoff and width."""
    generator = torch.Generator().manual_seed(0)
    widths, numbers = (0.1, 0.5, 1.0, 2.0), (0.3, 1.0, 8.0, 40.0)
    for kind, count in itertools.product(KINDS, (0, 1, 2, 6, 20, 80, 200)):
        for width, number in zip(widths, torch.randperm(4, generator=generator), strict=True):
            largest = 3.0 + 6.0 * float(torch.rand((), generator=generator))
            lengths, valid = environments(kind, count, largest, generator)
            yield lengths, valid, numbers[number], largest, width


def excess(lengths, valid, r, neighbors, largest, width):
    """What vanishes at the root, (n_centres,)."""
    factors = torch.where(valid, bump_cutoff(lengths, r[:, None], width)[0], 0.0)
    return factors.sum(1) + neighbors * ((r / largest) ** 3 - 1.0)


def bisected(lengths, valid, neighbors, largest, width):
    """The root or, if that is larger, a sixteenth of the largest cutoff, (n_centres,)."""
    low = torch.zeros(len(lengths), dtype=torch.float64)
    high = torch.full_like(low, largest)
    for _ in range(70):
        middle = 0.5 * (low + high)
        below = excess(lengths, valid, middle, neighbors, largest, width) <= 0.0
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return high.clamp(min=largest / 16.0)


def test_roots_and_their_derivatives():
    """Those of the implicit function; none where the root is smaller than the smallest cutoff."""
    for lengths, valid, *constants in cases():
        lengths.requires_grad_(True)
        found = solved_cutoffs(lengths, valid, *constants)
        expected = bisected(lengths.detach(), valid, *constants)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0.0)
        slopes = torch.autograd.grad(found.sum(), lengths)[0]
        r = expected.requires_grad_(True)
        value = excess(lengths, valid, r, *constants)
        to_lengths, to_r = torch.autograd.grad(value.sum(), (lengths, r), materialize_grads=True)
        inner = r.detach() > constants[1] / 16.0
        implicit = torch.where(inner[:, None], -to_lengths / to_r[:, None], 0.0)
        torch.testing.assert_close(slopes, implicit, rtol=1e-8, atol=1e-10)


def test_a_root_between_neighbors():
    """Where only the baseline has a slope; Newton with a bracket alone left it for the end."""
    lengths = torch.tensor([[1.6, 2.9, 3.9, 5.2, 6.5, 6.7]], dtype=torch.float64)
    found = solved_cutoffs(lengths, lengths > 0.0, 4.0, 7.5, 0.5)
    assert found.item() == pytest.approx(7.5 * 0.25 ** (1.0 / 3.0), rel=1e-14)


@pytest.mark.parametrize("count", [0, 30])
def test_it_does_not_wait(count):
    lengths, valid = environments("volume", count, 6.0, torch.Generator().manual_seed(1))
    lengths.requires_grad_(True)
    with NoWait():
        solved_cutoffs(lengths, valid, 8.0, 6.0, 1.0).sum().backward()


def test_convergence_of_newton():
    """A step leaves at most 150 times the square of the error, in units of the window.

    The factor is half the curvature divided by the slope. That of a sum over neighbors is at most
    that of one neighbor with its share of the slope of the baseline, here 1e-5 per window.
    """
    r = torch.linspace(1.0, 2.0, 200_001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(bump_cutoff(1.0, r, 1.0)[0].sum(), r, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), r)
    assert float((0.5 * curvature.abs() / (slope.detach() + 1e-5)).max()) < 150.0
