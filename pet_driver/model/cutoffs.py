"""Cutoff functions of the distance, and sine waves that resolve it.

The bump cutoff is the logistic function of a quantity that diverges at both ends of the switching
window, so that it is infinitely differentiable and its logarithm has no cancellation.
"""

from __future__ import annotations

import torch
from torch import Tensor

# At this distance from the ends of a window (in units of its width) the functions differ from 0 or
# 1 by less than 1e-200; clamping there keeps the divergent argument and its derivatives finite.
EDGE = 1e-3


def bump_cutoff(lengths: Tensor, cutoff: Tensor | float, width: float) -> tuple[Tensor, Tensor]:
    """C-infinity cutoff factor ``1/2 (1 + tanh(cot(pi s)))``, ``s = (r - cutoff + width) / width``.

    :param lengths: distances r, any shape, angstrom
    :param cutoff: angstrom; broadcasts against ``lengths``
    :param width: of the switching window, angstrom
    :return: the factor (1 below ``cutoff - width``, 0 above ``cutoff``) and its logarithm
    """
    # The cotangent is the tangent of the angle from the middle of the window. `hardtanh` clamps, as
    # `clamp` does, and its derivative is one kernel instead of five.
    angles = (cutoff - lengths) * (torch.pi / width) - 0.5 * torch.pi
    limit = (0.5 - EDGE) * torch.pi
    argument = 2.0 * torch.tan(torch.nn.functional.hardtanh(angles, -limit, limit))
    return torch.sigmoid(argument), torch.nn.functional.logsigmoid(argument)


def cosine_cutoff(lengths: Tensor, cutoff: Tensor | float, width: float) -> tuple[Tensor, Tensor]:
    """Cosine cutoff factor of the original PET, only once continuously differentiable.

    :param lengths: distances, any shape, angstrom
    :return: the factor (1 below ``cutoff - width``, 0 above ``cutoff``) and its logarithm, floored
        at log(1e-15)
    """
    s = ((lengths - cutoff + width) / width).clamp(0.0, 1.0)
    factor = 0.5 + 0.5 * torch.cos(torch.pi * s)
    return factor, torch.log(factor.clamp(min=1e-15))


CUTOFF_FUNCTIONS = {"bump": bump_cutoff, "cosine": cosine_cutoff}


def radial_waves(lengths: Tensor, cutoff: float, count: int) -> Tensor:
    """Sine waves ``sin(n pi r / cutoff) / r`` for n = 1 ... count, as an added last dimension.

    They let the first layer resolve a stiff bond, which is slow to learn from (x, y, z, r) alone.

    :param lengths: distances r, any shape, angstrom
    :param cutoff: angstrom
    :return: (..., count), 1/angstrom
    """
    n = torch.arange(1, count + 1, dtype=lengths.dtype, device=lengths.device)
    return torch.sin(n * (torch.pi / cutoff) * lengths[..., None]) / lengths[..., None]
