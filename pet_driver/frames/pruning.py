"""Smooth removal of the frames that are much lighter than the heaviest of their ensemble."""

from __future__ import annotations

import torch
from torch import Tensor

from .constants import FrameConstants
from .ensembles import NOTHING, Ensembles
from .switches import switch_on

_VANISHED = 1e-290  # paper's weight below which a pair is left out before its logarithm is taken


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
    width = constants.pruning_threshold_width
    on = ensembles.each(switch_on(largest, constants.pruning_threshold - width, width))
    all_kept = weights.new_ones(())
    for n in range(constants.pruning_rounds):
        top = smooth_maximum(ensembles, weights) if n else largest
        share = _kept_share(weights, ensembles.each(top), constants)
        weights = weights * torch.lerp(all_kept, share, on)
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
    absent = weights <= _VANISHED
    # Relative to the heaviest pair, a constant to gradients as it cancels: nothing overflows.
    logarithm = torch.log(weights.detach()) + log_contrast.detach()
    shift = ensembles.each(ensembles.largest(logarithm.masked_fill_(absent, -torch.inf)))
    relative = weights * torch.exp((log_contrast - shift).masked_fill(absent, -torch.inf))
    for _ in range(constants.pruning_rounds):
        top = power_maximum(ensembles, relative, constants.maximum_power)
        relative = relative * _kept_share(relative, ensembles.each(top), constants)
    return ensembles.shares(relative)


def _kept_share(weights: Tensor, top: Tensor, constants: FrameConstants) -> Tensor:
    """Share of each weight that pruning keeps, given the smooth maximum of its ensemble."""
    relative = weights / (top + NOTHING)
    return switch_on(relative, constants.pruning_fraction, constants.pruning_width)


def smooth_maximum(ensembles: Ensembles, weights: Tensor) -> Tensor:
    """The paper's smooth maximum of each ensemble: ``sum w^2 e^w / sum w e^w``; 0 without any.

    :param weights: (n_centres, n_first, n_second)
    :return: (n_ensembles,)
    """
    return ensembles.mean(weights, weights * torch.exp(weights))


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
    return ensembles.mean(weights, weights.pow(power))
