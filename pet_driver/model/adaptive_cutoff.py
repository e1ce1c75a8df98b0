"""Cutoffs adapted to the density, so that all atoms have about the same number of neighbors.

Both methods are those of metatrain's PET: the root of the smoothed number of neighbors, and the
older average over a grid of trial cutoffs. A baseline ``n (r / r_max)^3`` is added to the number of
neighbors within r, so that the cutoff is unique and atoms without neighbors have the largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .cutoffs import EDGE, bump_cutoff

_aten = torch.ops.aten

_SMALLEST = 1.0 / 16.0  # cutoff found by root, in units of the largest
_FIRST_TRIAL = 0.5  # angstrom
_TRIALS_PER_WIDTH = 4.0
# Of the search for the root: widths of the brackets by the sharp count and by the smoothed one, in
# units of the switching window, and Newton's steps.
_SHARP_BRACKET = 1.0 / 4.0
_BRACKET = 1.0 / 800.0
_STEPS = 4
# Into how many parts a bracket is divided at a time. Halves take the fewest counts, which is what
# a CPU spends its time on; a GPU waits for launches, which are fewer if there are more parts.
_PARTS_ON_CPU, _PARTS_ON_GPU = 2, 11
_SHARP_PARTS_ON_GPU = 200


def solved_cutoffs(
    lengths: Tensor, valid: Tensor, neighbors: float, largest: float, width: float
) -> Tensor:
    """Radius r of each centre at which ``sum_j f_c(r_j | r, width) + n (r / largest)^3 = n``.

    The number of steps is fixed, so that the host never waits for a GPU: the root is bracketed to
    1/800 of the switching window, then Newton's method starts from the middle of the bracket. There
    a step leaves at most about 150 times the square of the error, in units of the window: after
    four of them the error is that of rounding.

    The result has the first derivatives of the implicit function, ``dr/dr_j = (df_c/dr) / (slope of
    the left side)``, 0 where the root is smaller than the smallest cutoff. They are constants in a
    second derivative.

    :param lengths: (n_centres, n_neighbors), angstrom, all neighbors within ``largest``
    :param valid: (n_centres, n_neighbors), False for padding, where lengths are any finite number
    :param neighbors: the number n
    :param largest: upper bound of the radii, angstrom
    :param width: of the switching window of the cutoff function f_c, angstrom
    :return: (n_centres,), angstrom
    """
    fixed = lengths.detach()
    with torch.no_grad():
        smoothed = _SmoothedNumber(
            torch.where(valid, fixed, 2.0 * largest), neighbors, largest, width
        )
        low, span = smoothed.bracket()
        high = low + span
        r, slopes = smoothed.newton(low + 0.5 * span)
        for _ in range(_STEPS - 1):
            r, slopes = smoothed.newton(torch.clamp(r, low, high))
    moved: Tensor = (slopes * (lengths - fixed)).sum(1)
    return (r + moved).clamp(_SMALLEST * largest, largest)


class _SmoothedNumber:
    """The left side of the equation of `solved_cutoffs`, of several trial radii at a time.

    Angles are those of `bump_cutoff` from the middle of the window, whose tangent is its cotangent.
    """

    def __init__(self, distances: Tensor, neighbors: float, largest: float, width: float) -> None:
        """Prepare for the neighbors.

        :param distances: (n_centres, n_neighbors), angstrom, above ``largest`` for padding
        :param neighbors: the number n
        :param largest: radius, angstrom
        :param width: of the switching window, angstrom
        """
        self._distances, self._neighbors, self._largest = distances, neighbors, largest
        self._width = width
        self._per_length = math.pi / width
        self._baseline = neighbors / largest**3
        self._phases = distances * -self._per_length - 0.5 * math.pi

    def bracket(self) -> tuple[Tensor, float]:
        """Lower end, (n_centres,), and width of brackets of the roots, angstrom.

        A neighbor counts in full a window's width after it counts at all. The root is therefore
        between that of the sharp number of neighbors and the same plus the width of the window.
        """
        sharp, smoothed = _SHARP_PARTS_ON_GPU, _PARTS_ON_GPU
        if not self._distances.is_cuda:
            sharp = smoothed = _PARTS_ON_CPU
        low = self._distances.new_full((len(self._distances),), _SMALLEST * self._largest)
        span = (1.0 - _SMALLEST) * self._largest
        low, span = self._narrowed(low, span, _SHARP_BRACKET * self._width, sharp, self._sharp)
        span += self._width
        return self._narrowed(low, span, _BRACKET * self._width, smoothed, self._smoothed)

    def _narrowed(
        self,
        low: Tensor,
        span: float,
        wanted: float,
        most: int,
        count: Callable[[Tensor], Tensor],
    ) -> tuple[Tensor, float]:
        """Divide brackets until they are as narrow as wanted.

        :param low: (n_centres,), lower ends, and their span, angstrom
        :param most: number of parts of a division
        :param count: of the neighbors within trial radii
        :return: as of `bracket`
        """
        divisions = max(math.ceil(math.log(span / wanted, most)), 1)
        parts = math.ceil((span / wanted) ** (1.0 / divisions))
        for _ in range(divisions):
            span /= parts
            trials = self._trials(low, span, parts)
            low = self._raised(low, count(trials), trials, span)
        return low, span

    def _sharp(self, trials: Tensor) -> Tensor:
        """Number of neighbors within trial radii, (n_centres, n_trials)."""
        return (self._distances[:, None, :] < trials[..., None]).sum(2)

    def _smoothed(self, trials: Tensor) -> Tensor:
        """The same with the cutoff factors of the neighbors."""
        return self._cotangents(trials).mul_(2.0).sigmoid_().sum(2)

    def newton(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """One step of Newton's method, and derivatives of the root with respect to distances.

        :param r: (n_centres,), angstrom
        :return: (n_centres,), angstrom, and (n_centres, n_neighbors)
        """
        cotangents = self._cotangents(r[:, None]).squeeze(1)
        factors = torch.sigmoid(2.0 * cotangents)
        # d cot / d angle = -(1 + cot^2); all slopes in units of 2 pi / width.
        slopes = _aten.sigmoid_backward(
            torch.addcmul(r.new_ones(()), cotangents, cotangents), factors
        )
        square, unit = r * r, 2.0 * self._per_length
        slope = torch.add(slopes.sum(1), square, alpha=3.0 * self._baseline / unit)
        number = torch.addcmul(factors.sum(1), square, r, value=self._baseline)
        step = torch.addcdiv(r, number - self._neighbors, slope, value=-1.0 / unit)
        return step, slopes / slope[:, None]

    def _trials(self, low: Tensor, spacing: float, parts: int) -> Tensor:
        """Radii that divide brackets in so many parts, (n_centres, parts - 1), angstrom."""
        steps = torch.arange(1, parts, dtype=low.dtype, device=low.device)
        return torch.add(low[:, None], steps, alpha=spacing)

    def _raised(self, low: Tensor, inside: Tensor, trials: Tensor, spacing: float) -> Tensor:
        """The largest trial radii that are below the root, or ``low``: (n_centres,), angstrom.

        :param inside: (n_centres, n_trials), numbers of neighbors within the trial radii
        """
        number = torch.add(inside, trials**3, alpha=self._baseline)
        return torch.add(low, (number <= self._neighbors).sum(1), alpha=spacing)

    def _cotangents(self, radii: Tensor) -> Tensor:
        """Half the logits of the cutoff factors, (n_centres, n_radii, n_neighbors).

        :param radii: (n_centres, n_radii), angstrom
        """
        angles = torch.add(self._phases[:, None, :], radii[..., None], alpha=self._per_length)
        limit = (0.5 - EDGE) * math.pi
        return angles.clamp_(-limit, limit).tan_()


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
