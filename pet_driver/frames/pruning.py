"""Smooth removal of the frames that are much lighter than the heaviest of their ensemble."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .constants import FrameConstants
from .ensembles import NOTHING, Ensembles
from .switches import left, passed, rising_step, rising_steps

_VANISHED = 1e-290  # paper's weight below which a pair is left out before its logarithm is taken


def prune(
    ensembles: Ensembles, weights: Tensor, largest: Tensor, constants: FrameConstants
) -> tuple[Tensor, Tensor]:
    """Weights in which light frames are smoothly removed, as in arXiv 2305.19302.

    Pruning is switched on as the smooth maximum ``largest`` of the unpruned weights exceeds a
    threshold.

    :param weights: (n_centres, n_first, n_second), of the pairs
    :param largest: (n_ensembles,), see `smooth_maximum`
    :return: as ``weights``; and (n_ensembles,), the weight of the axial frames
    """
    width, rounds = constants.pruning_threshold_width, constants.pruning_rounds
    arguments = [
        left(largest, constants.axial_threshold, constants.axial_width),
        passed(largest, constants.pruning_threshold - width, width),
    ]
    if rounds:
        arguments.append(_kept_argument(ensembles, weights, largest, constants))
    axial, on, *share = rising_steps(*arguments)
    on, all_kept = ensembles.each(on), weights.new_ones(())
    for n in range(rounds):
        if n:
            top = smooth_maximum(ensembles, weights)
            share = [rising_step(_kept_argument(ensembles, weights, top, constants))]
        weights = weights * torch.lerp(all_kept, share[0], on)
    return weights, axial


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
        relative = relative * rising_step(_kept_argument(ensembles, relative, top, constants))
    return ensembles.shares(relative)


def _kept_argument(
    ensembles: Ensembles, weights: Tensor, top: Tensor, constants: FrameConstants
) -> Tensor:
    """Argument of the step that is the share of each weight that pruning keeps.

    :param top: (n_ensembles,), smooth maximum of each
    """
    width = constants.pruning_width
    return ensembles.relative(weights, top, width) - constants.pruning_fraction / width


def smooth_maximum(ensembles: Ensembles, weights: Tensor) -> Tensor:
    """The paper's smooth maximum of each ensemble: ``sum w^2 e^w / sum w e^w``; 0 without any.

    :param weights: (n_centres, n_first, n_second)
    :return: (n_ensembles,)
    """
    return _maximum(ensembles, weights, None)


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
    return _maximum(ensembles, weights, power)


def _maximum(ensembles: Ensembles, weights: Tensor, power: float | None) -> Tensor:
    maximum: Tensor = _Maximum.apply(  # type: ignore[no-untyped-call]  # torch's own
        ensembles, weights, power
    )
    return maximum


class _Maximum(torch.autograd.Function):
    """``m = sum v w / S`` with ``S = sum v`` and ``v = w e^w``, or ``v = w^p``.

    ``dm/dw = (v + (w - m) dv/dw) / S``; can be differentiated again.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        ensembles: Ensembles,
        weights: Tensor,
        power: float | None,
    ) -> Tensor:
        growth, shares, total = _shares_of_maximum(ensembles, weights, power)
        maximum = ensembles.dot(shares, weights) / total
        ctx.save_for_backward(weights, growth, shares, total, maximum)
        ctx.ensembles, ctx.power = ensembles, power
        return maximum

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        weights, growth, shares, total, maximum = ctx.saved_tensors
        ensembles: Ensembles = ctx.ensembles
        if torch.is_grad_enabled():  # as a function of the weights
            growth, shares, total = _shares_of_maximum(ensembles, weights, ctx.power)
        above = weights - ensembles.each(maximum)
        slope = growth + shares if ctx.power is None else growth * ctx.power
        slope = torch.addcmul(shares, above, slope)
        return None, slope * ensembles.each(gradient / total), None


def _shares_of_maximum(
    ensembles: Ensembles, weights: Tensor, power: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """``v / w``, v and the sum of v of each ensemble, see `_Maximum`."""
    growth = torch.exp(weights) if power is None else weights.pow(power - 1.0)
    shares = weights * growth
    return growth, shares, ensembles.total(shares) + NOTHING
