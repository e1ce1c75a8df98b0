"""Infinitely differentiable switching functions, of which frames and their weights are made.

They are logistic functions of a quantity that diverges at both ends of the switching window.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# So close to the ends of a window, as a share of its width, the logistic function has the argument
# -2000 or 2000 and is exactly 0 or 1; clamping there keeps the argument and its derivatives finite.
_EDGE = 5e-4


def switch_off(x: Tensor, end: Tensor | float, width: float) -> Tensor:
    """1 below ``end - width``, 0 above ``end``: f_c(x | end, width) of arXiv 2305.19302.

    Exactly 0 above, so that nothing beyond ``end`` needs a mask.

    :param x: any shape; ``end`` broadcasts against it
    """
    return _rising(x - end, -1.0 / width)


def switch_on(x: Tensor, start: Tensor | float, width: float) -> Tensor:
    """0 below ``start``, 1 above ``start + width``: q_c(x | start, width) of arXiv 2305.19302.

    Exactly 0 below.

    :param x: any shape; ``start`` broadcasts against it
    """
    return _rising(x - start, 1.0 / width)


def smooth_step(u: Tensor) -> Tensor:
    """Decreasing C-infinity step: 1 for ``u <= -1``, 0 for ``u >= 1``.

    The tanh form of arXiv 2305.19302, ``1/2 + 1/2 tanh(1/(u+1) + 1/(u-1))``.

    :param u: any shape
    :return: same shape
    """
    return switch_off(u, 1.0, 2.0)


def _rising(x: Tensor, scale: float) -> Tensor:
    """Step from 0 at ``scale x = 0`` to 1 at ``scale x = 1``, elementwise."""
    step: Tensor = _RisingStep.apply(x, scale)  # type: ignore[no-untyped-call]  # torch's own
    return step


class _RisingStep(torch.autograd.Function):
    """``s = sigmoid(1/(1-t) - 1/t)`` with ``t = scale x``, clamped; can be differentiated again.

    With ``p = t (1-t)`` the argument is ``(2t-1)/p``, and ``ds/dt = s (1-s) (1/p^2 - 2/p)``. Where
    t is clamped, ``s (1-s)`` is exactly 0.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:  # noqa: ANN401
        t = _clamped(x, scale)
        p = torch.addcmul(t, t, t, value=-1.0)
        step = torch.rsub(t, -1.0, alpha=-2.0).div_(p).sigmoid_()
        ctx.save_for_backward(x, step, p)
        ctx.scale = scale
        return step

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        x, step, p = ctx.saved_tensors
        scale = ctx.scale
        if torch.is_grad_enabled():  # as a function of x, since it is differentiated again
            t = _clamped(x, scale)
            p = torch.addcmul(t, t, t, value=-1.0)
        slope = torch.ops.aten.sigmoid_backward(gradient, step) / p
        return torch.addcdiv(slope * (-2.0 * scale), slope, p, value=scale), None


def _clamped(x: Tensor, scale: float) -> Tensor:
    return (x * scale).clamp(_EDGE, 1.0 - _EDGE)
