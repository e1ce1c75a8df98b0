"""Infinitely differentiable switching functions, of which frames and their weights are made.

They are logistic functions of a quantity that diverges at both ends of the switching window.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# So close to the ends of a window, at -1 and 1, the functions differ from 0 or 1 by less than
# 1e-200; clamping there keeps the divergent argument and its derivatives finite.
_LAST = 1.0 - 1e-3


def smooth_step(u: Tensor) -> Tensor:
    """Decreasing C-infinity step: 1 for ``u <= -1``, 0 for ``u >= 1``.

    The tanh form of arXiv 2305.19302, ``1/2 + 1/2 tanh(1/(u+1) + 1/(u-1))``, evaluated as a
    logistic function of ``4 u / (u^2 - 1)``.

    :param u: any shape
    :return: same shape
    """
    step: Tensor = _SmoothStep.apply(u)  # type: ignore[no-untyped-call]  # torch's own
    return step


class _SmoothStep(torch.autograd.Function):
    """The step, whose gradient takes few operations; it can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:  # noqa: ANN401
        inner = u.clamp(-_LAST, _LAST)
        step = torch.sigmoid(4.0 * inner / (inner.square() - 1.0))
        ctx.save_for_backward(u, step)
        return step

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        u, step = ctx.saved_tensors
        square = u.clamp(-_LAST, _LAST).square()
        slope = (square + 1.0) / (square - 1.0).square()
        slope = torch.where(u.abs() < _LAST, slope, 0.0)
        result: Tensor = -4.0 * slope * (gradient * (step * (1.0 - step)))
        return result


def switch_off(x: Tensor, end: Tensor | float, width: Tensor | float) -> Tensor:
    """1 below ``end - width``, 0 above ``end``: f_c(x | end, width) of arXiv 2305.19302.

    :param x: any shape; ``end`` and ``width`` broadcast against it
    """
    return smooth_step((x - end) * (2.0 / width) + 1.0)


def switch_on(x: Tensor, start: Tensor | float, width: Tensor | float) -> Tensor:
    """0 below ``start``, 1 above ``start + width``: q_c(x | start, width) of arXiv 2305.19302.

    :param x: any shape; ``start`` and ``width`` broadcast against it
    """
    return smooth_step((x - start) * (-2.0 / width) + 1.0)
