"""Cutoffs adapted to the density, so that all atoms have about the same number of neighbors.

Both methods are those of metatrain's PET: the root of the smoothed number of neighbors, and the
older average over a grid of trial cutoffs. A baseline ``n (r / r_max)^3`` is added to the number of
neighbors within r, so that the cutoff is unique and atoms without neighbors have the largest.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .cutoffs import bump_cutoff, bump_slope

_ITERATIONS = 60
_FLATTEST = 1e-6  # 1/angstrom, the least slope that a step divides by
_SMALLEST = 1.0 / 16.0  # cutoff found by root, in units of the largest
_FIRST_TRIAL = 0.5  # angstrom
_TRIALS_PER_WIDTH = 4.0


def solved_cutoffs(
    lengths: Tensor, valid: Tensor, neighbors: float, largest: float, width: float
) -> Tensor:
    """Radius r of each centre at which ``sum_j f_c(r_j | r, width) + n (r / largest)^3 = n``.

    The root is found by Newton's method inside a bracket; one more step, recorded by autograd,
    gives it the derivatives of the implicit function.

    :param lengths: (n_centres, n_neighbors), angstrom, all neighbors within ``largest``
    :param valid: (n_centres, n_neighbors), False for padding
    :param neighbors: the number n
    :param largest: upper bound of the radii, angstrom
    :param width: of the switching window of the cutoff function f_c, angstrom
    :return: (n_centres,), angstrom
    """
    detached = torch.where(valid, lengths.detach(), 2.0 * largest)

    def slope(r: Tensor) -> Tensor:
        inside = bump_slope(detached, r[:, None], width).sum(1)
        return (inside + 3.0 * neighbors * r**2 / largest**3).clamp(min=_FLATTEST)

    def excess(distances: Tensor, r: Tensor) -> Tensor:
        inside = bump_cutoff(distances, r[:, None], width)[0].sum(1)
        return inside + neighbors * ((r / largest) ** 3 - 1.0)

    with torch.no_grad():
        low = detached.new_zeros(len(detached))
        high = torch.full_like(low, largest)
        r = 0.5 * high
        for _ in range(_ITERATIONS):
            above = excess(detached, r)
            low, high = torch.where(above <= 0.0, r, low), torch.where(above <= 0.0, high, r)
            step = r - above / slope(r)
            step = torch.where((step >= low) & (step <= high), step, 0.5 * (low + high))
            done = (step - r).abs().max() <= 1e-14 * largest if len(r) else True
            r = step
            if done:
                break
        steepness = slope(r)
    differentiable = torch.where(valid, lengths, 2.0 * largest)
    return (r - excess(differentiable, r) / steepness).clamp(_SMALLEST * largest, largest)


def grid_cutoffs(
    lengths: Tensor, valid: Tensor, neighbors: float, largest: float, width: float
) -> Tensor:
    """Average of trial cutoffs, weighted by how close they come to the wanted number of neighbors.

    The weight is a Gaussian of the difference between the two numbers, in units of the change from
    one trial to the next. Parameters and result as in `solved_cutoffs`.
    """
    trials = torch.arange(
        _FIRST_TRIAL,
        largest,
        width / _TRIALS_PER_WIDTH,
        dtype=lengths.dtype,
        device=lengths.device,
    )
    distances = torch.where(valid, lengths, 2.0 * largest)
    inside = bump_cutoff(distances[:, None, :], trials[:, None], width)[0].sum(2)
    baseline = torch.linspace(0.0, 1.0, len(trials), dtype=trials.dtype, device=trials.device) ** 3
    excess = inside + neighbors * (baseline - 1.0)
    if len(trials) == 1:
        scale = 0.5 * excess.abs() + 1e-12
    else:
        scale = torch.gradient(excess, dim=1)[0].abs().clamp(min=1e-12)
    return torch.softmax(-0.5 * (excess / scale) ** 2, dim=1) @ trials


_METHODS = {"solver": solved_cutoffs, "grid": grid_cutoffs}
ADAPTIVE_METHODS = tuple(_METHODS)


def adaptive_cutoffs(
    lengths: Tensor, valid: Tensor, method: str, neighbors: float, largest: float, width: float
) -> Tensor:
    """Radius of each centre, (n_centres,), angstrom.

    :param method: "solver", see `solved_cutoffs`, or "grid", see `grid_cutoffs`; the other
        parameters are theirs
    """
    return _METHODS[method](lengths, valid, neighbors, largest, width)
