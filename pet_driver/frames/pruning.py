"""Smooth removal of the frames that are much lighter than the heaviest of their ensemble."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .constants import FrameConstants
from .switches import switch_off, switch_on

_VANISHED = 1e-290  # paper's weight below which a pair is left out before its logarithm is taken


@dataclass(frozen=True)
class Ensembles:
    """Which pairs are averaged together: those of a centre, or those of a whole structure.

    Weights of pairs are (n_centres, n_first, n_second). count: number of ensembles; structure:
    (n_centres,), index of the structure of each centre, None: each centre is an ensemble.
    """

    count: int
    structure: Tensor | None = None

    def total(self, values: Tensor) -> Tensor:
        """Sums of the values of pairs, (count,)."""
        of_centres = values.sum((1, 2))
        if self.structure is None:
            return of_centres
        return values.new_zeros(self.count).index_add(0, self.structure, of_centres)

    def largest(self, values: Tensor) -> Tensor:
        """Largest of the values of pairs, (count,); not differentiable."""
        of_centres = values.detach().amax((1, 2))
        if self.structure is None:
            return of_centres
        none = values.new_full((self.count,), -torch.inf)
        return none.scatter_reduce(0, self.structure, of_centres, "amax")

    def each(self, values: Tensor) -> Tensor:
        """Values of ensembles, (count,), as they apply to pairs, (n_centres, 1, 1)."""
        of_centres = values if self.structure is None else values.index_select(0, self.structure)
        return of_centres[:, None, None]


def prune(
    ensembles: Ensembles, weights: Tensor, largest: Tensor, constants: FrameConstants
) -> Tensor:
    """Weights in which light frames are smoothly removed, as in arXiv 2305.19302.

    Pruning is switched on as the smooth maximum ``largest`` of the unpruned weights exceeds a
    threshold.

    :param weights: (n_centres, n_first, n_second), of the pairs
    :param largest: (n_ensembles,), see `smooth_maximum`
    :return: as ``weights``
    """
    off = switch_off(largest, constants.pruning_threshold, constants.pruning_threshold_width)
    off = ensembles.each(off)
    for _ in range(constants.pruning_rounds):
        top = ensembles.each(smooth_maximum(ensembles, weights))
        weights = weights * ((1.0 - off) * _kept_share(weights, top, constants) + off)
    return weights


def contrasted(
    ensembles: Ensembles, weights: Tensor, log_contrast: Tensor, constants: FrameConstants
) -> Tensor:
    """Normalized weights of the pairs of each ensemble: the paper's times a contrast, then pruned.

    Contrast makes near neighbors count more, so that fewer frames are left. Only ratios of the
    weights of one ensemble enter, see `power_maximum`: a factor common to them cancels. Ensembles
    whose weights all vanish get none.

    :param weights: (n_centres, n_first, n_second), the paper's
    :param log_contrast: as ``weights``, logarithm of the factor of each pair
    :return: as ``weights``
    """
    present = weights > _VANISHED
    safe = torch.where(present, weights, 1.0)
    # Relative to the heaviest pair, a constant to gradients as it cancels: nothing overflows.
    logarithm = torch.where(present, torch.log(safe) + log_contrast, -torch.inf).detach()
    shift = ensembles.each(ensembles.largest(logarithm))
    factor = torch.exp(torch.where(present, log_contrast - shift, -torch.inf))
    relative = torch.where(present, weights, 0.0) * factor
    for _ in range(constants.pruning_rounds):
        top = ensembles.each(power_maximum(ensembles, relative, constants.maximum_power))
        relative = relative * _kept_share(relative, top, constants)
    total = ensembles.total(relative)
    return relative / ensembles.each(torch.where(total > 0.0, total, 1.0))


def _kept_share(weights: Tensor, top: Tensor, constants: FrameConstants) -> Tensor:
    """Share of each weight that pruning keeps, given the smooth maximum of its ensemble."""
    top = torch.where(top > 0.0, top, 1.0)
    return switch_on(weights, constants.pruning_fraction * top, constants.pruning_width * top)


def smooth_maximum(ensembles: Ensembles, weights: Tensor) -> Tensor:
    """The paper's smooth maximum of each ensemble: ``sum w^2 e^w / sum w e^w``; 0 without any.

    :param weights: (n_centres, n_first, n_second)
    :return: (n_ensembles,)
    """
    return _ratio(ensembles, weights, weights * torch.exp(weights))


def power_maximum(ensembles: Ensembles, weights: Tensor, power: float) -> Tensor:
    """Smooth maximum of each ensemble that scales with its weights.

    ``sum w^(p+1) / sum w^p`` (Lehmer's mean): a mean of the weights, weighted by their powers. It
    is never above the largest weight, which pruning therefore keeps in full, and equal to it where
    all are equal, however many they are.

    :param weights: (n_centres, n_first, n_second), at most 1, and 1 for the largest of each
        ensemble
    :param power: p, at least 1; the larger, the closer to the maximum
    :return: (n_ensembles,); 0 without any weight
    """
    return _ratio(ensembles, weights, weights.pow(power))


def _ratio(ensembles: Ensembles, values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of the values of each ensemble; 0 where it has no weight."""
    total = ensembles.total(weights)
    return ensembles.total(weights * values) / torch.where(total > 0.0, total, 1.0)
