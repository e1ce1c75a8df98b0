"""Infinitely differentiable switching functions, of which frames and their weights are made.

They are logistic functions of a quantity that diverges at both ends of the switching window.
"""

from __future__ import annotations

import torch
from torch import Tensor

# At this distance from the ends of a window (in units of its width) the functions differ from 0 or
# 1 by less than 1e-200; clamping there keeps the divergent argument and its derivatives finite.
_EDGE = 1e-3


def smooth_step(u: Tensor) -> Tensor:
    """Decreasing C-infinity step: 1 for ``u <= -1``, 0 for ``u >= 1``.

    The tanh form of arXiv 2305.19302, ``1/2 + 1/2 tanh(1/(u+1) + 1/(u-1))``, evaluated as a
    logistic function.

    :param u: any shape
    :return: same shape
    """
    inner = u.clamp(-1.0 + _EDGE, 1.0 - _EDGE)
    return torch.sigmoid(2.0 * (1.0 / (inner + 1.0) + 1.0 / (inner - 1.0)))


def switch_off(x: Tensor, end: Tensor | float, width: Tensor | float) -> Tensor:
    """1 below ``end - width``, 0 above ``end``: f_c(x | end, width) of arXiv 2305.19302.

    :param x: any shape; ``end`` and ``width`` broadcast against it
    """
    return smooth_step(2.0 * (x - end + 0.5 * width) / width)


def switch_on(x: Tensor, start: Tensor | float, width: Tensor | float) -> Tensor:
    """0 below ``start``, 1 above ``start + width``: q_c(x | start, width) of arXiv 2305.19302.

    :param x: any shape; ``start`` and ``width`` broadcast against it
    """
    return smooth_step(-2.0 * (x - start - 0.5 * width) / width)
