"""Smooth removal of the frames that are much lighter than the heaviest of their ensemble."""

from __future__ import annotations

import torch
from torch import Tensor

from .constants import FrameConstants
from .switches import switch_off, switch_on

_VANISHED = 1e-290  # paper's weight below which a pair is left out before its logarithm is taken


def prune(owner: Tensor, weights: Tensor, largest: Tensor, constants: FrameConstants) -> Tensor:
    """Weights in which light frames are smoothly removed, as in arXiv 2305.19302.

    Pruning is switched on as the smooth maximum ``largest`` of the unpruned weights exceeds a
    threshold.

    :param owner: (n_samples,), index of the ensemble of each frame: its centre, or its structure
    :param weights: (n_samples,)
    :param largest: (n_owners,), see `smooth_maximum`
    :return: (n_samples,)
    """
    off = switch_off(largest, constants.pruning_threshold, constants.pruning_threshold_width)
    off = off[owner]
    for _ in range(constants.pruning_rounds):
        top = smooth_maximum(owner, weights, largest.shape[0])[owner]
        weights = weights * ((1.0 - off) * _kept_share(weights, top, constants) + off)
    return weights


def contrasted(
    owner: Tensor, weights: Tensor, log_contrast: Tensor, n_owners: int, constants: FrameConstants
) -> Tensor:
    """Normalized weights of the pairs of each ensemble: the paper's times a contrast, then pruned.

    Contrast makes near neighbors count more, so that fewer frames are left. Only ratios of the
    weights of one ensemble enter, see `power_maximum`: a factor common to them cancels. Ensembles
    whose weights all vanish get none.

    :param owner: (n_samples,), index of the ensemble of each pair
    :param weights: (n_samples,), the paper's
    :param log_contrast: (n_samples,), logarithm of the factor of each pair
    :return: (n_samples,)
    """
    present = weights > _VANISHED
    safe = torch.where(present, weights, 1.0)
    # Relative to the heaviest pair, a constant to gradients as it cancels: nothing overflows.
    logarithm = torch.where(present, torch.log(safe) + log_contrast, -torch.inf).detach()
    shift = logarithm.new_full((n_owners,), -torch.inf)
    shift = shift.scatter_reduce(0, owner, logarithm, "amax")[owner]
    factor = torch.exp(torch.where(present, log_contrast - shift, -torch.inf))
    relative = torch.where(present, weights, 0.0) * factor
    for _ in range(constants.pruning_rounds):
        top = power_maximum(owner, relative, n_owners, constants.maximum_power)[owner]
        relative = relative * _kept_share(relative, top, constants)
    total = relative.new_zeros(n_owners).index_add(0, owner, relative)
    return relative / torch.where(total > 0.0, total, 1.0)[owner]


def _kept_share(weights: Tensor, top: Tensor, constants: FrameConstants) -> Tensor:
    """Share of each weight that pruning keeps, given the smooth maximum of its ensemble."""
    top = torch.where(top > 0.0, top, 1.0)
    return switch_on(weights, constants.pruning_fraction * top, constants.pruning_width * top)


def smooth_maximum(owner: Tensor, weights: Tensor, n_owners: int) -> Tensor:
    """The paper's smooth maximum of each ensemble: ``sum w^2 e^w / sum w e^w``; 0 without any.

    :param owner: (n_samples,), index of the ensemble of each weight
    :param weights: (n_samples,)
    :return: (n_owners,)
    """
    return _ratio(owner, weights, weights * torch.exp(weights), n_owners)


def power_maximum(owner: Tensor, weights: Tensor, n_owners: int, power: float) -> Tensor:
    """Smooth maximum of each ensemble that scales with its weights.

    ``sum w^(p+1) / sum w^p`` (Lehmer's mean): a mean of the weights, weighted by their powers. It
    is never above the largest weight, which pruning therefore keeps in full, and equal to it where
    all are equal, however many they are.

    :param owner: (n_samples,), index of the ensemble of each weight
    :param weights: (n_samples,), at most 1, and 1 for the largest of each ensemble
    :param power: p, at least 1; the larger, the closer to the maximum
    :return: (n_owners,); 0 without any weight
    """
    return _ratio(owner, weights, weights.pow(power), n_owners)


def _ratio(owner: Tensor, values: Tensor, weights: Tensor, n_owners: int) -> Tensor:
    """Weighted mean of the values of each owner; 0 where it has no weight."""
    total = weights.new_zeros(n_owners).index_add(0, owner, weights)
    weighted = weights.new_zeros(n_owners).index_add(0, owner, weights * values)
    return weighted / torch.where(total > 0.0, total, 1.0)
