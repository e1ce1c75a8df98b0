"""Infinitely differentiable switching functions, of which frames and their weights are made.

They are logistic functions of a quantity that diverges at both ends of the switching window: steps
``s(t)`` that rise from 0 at ``t = 0`` to 1 at ``t = 1``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

# So close to the ends of a window, as a share of its width, the logistic function has the argument
# -2000 or 2000 and is exactly 0 or 1; from there on ``p = t (1-t)`` is kept, so that nothing
# diverges.
_EDGE = 5e-4
_LEAST = _EDGE * (1.0 - _EDGE)


def switch_off(x: Tensor, end: Tensor | float, width: float) -> Tensor:
    """1 below ``end - width``, 0 above ``end``: f_c(x | end, width) of arXiv 2305.19302.

    Exactly 0 above, so that nothing beyond ``end`` needs a mask.

    :param x: any shape; ``end`` broadcasts against it
    """
    return rising_step(left(x, end, width))


def switch_on(x: Tensor, start: Tensor | float, width: float) -> Tensor:
    """0 below ``start``, 1 above ``start + width``: q_c(x | start, width) of arXiv 2305.19302.

    Exactly 0 below.

    :param x: any shape; ``start`` broadcasts against it
    """
    return rising_step(passed(x, start, width))


def smooth_step(u: Tensor) -> Tensor:
    """Decreasing C-infinity step: 1 for ``u <= -1``, 0 for ``u >= 1``.

    The tanh form of arXiv 2305.19302, ``1/2 + 1/2 tanh(1/(u+1) + 1/(u-1))``.

    :param u: any shape
    :return: same shape
    """
    return switch_off(u, 1.0, 2.0)


def left(x: Tensor, end: Tensor | float, width: float) -> Tensor:
    """Argument of the step of `switch_off`: what is left of a window, as a share of its width."""
    if isinstance(end, Tensor):
        return (end - x) * (1.0 / width)
    return _line(x, end / width, -1.0 / width)


def passed(x: Tensor, start: Tensor | float, width: float) -> Tensor:
    """Argument of the step of `switch_on`: what is passed of a window, as a share of its width."""
    if isinstance(start, Tensor):
        return (x - start) * (1.0 / width)
    return _line(x, -start / width, 1.0 / width)


def _line(x: Tensor, shift: float, slope: float) -> Tensor:
    """``shift + slope x``, elementwise."""
    line: Tensor = _Line.apply(x, shift, slope)  # type: ignore[no-untyped-call]  # torch's own
    return line


def rising_step(t: Tensor) -> Tensor:
    """Step from 0 at ``t = 0`` to 1 at ``t = 1``, elementwise; can be differentiated again."""
    step: Tensor = _RisingStep.apply(t)  # type: ignore[no-untyped-call]  # torch's own
    return step


def rising_steps(*arguments: Tensor) -> list[Tensor]:
    """The steps of several tables, which are evaluated together."""
    return tables_of(rising_step(joined(*arguments)), *arguments)


def joined(*tables: Tensor) -> Tensor:
    """All numbers of some tables, one after another."""
    return torch.cat([x.flatten() for x in tables])


def tables_of(numbers: Tensor, *like: Tensor) -> list[Tensor]:
    """Tables out of their `joined` numbers, each of the shape of one of ``like``."""
    parts = torch.split(numbers, [math.prod(x.shape) for x in like])
    return [part.view(x.shape) for part, x in zip(parts, like, strict=True)]


def step_and_product(t: Tensor) -> tuple[Tensor, Tensor]:
    """``s = sigmoid(1/(1-t) - 1/t) = sigmoid((2t-1) / p)`` and ``p = t (1-t)``, not too small."""
    # As clamp_min, whose derivative is two operations.
    p = torch.nn.functional.threshold(torch.addcmul(t, t, t, value=-1.0), _LEAST, _LEAST)
    return torch.sigmoid(torch.rsub(t, -1.0, alpha=-2.0) / p), p


def along_argument(slope: Tensor, p: Tensor) -> Tensor:
    """``slope (1/p^2 - 2/p)``: from the derivative by the argument of the sigmoid to that by t."""
    slope = slope / p
    return torch.addcdiv(slope * -2.0, slope, p)


def log_slope_to_argument(logarithmic: Tensor, step: Tensor) -> Tensor:
    """Gradient by the argument of a sigmoid, given that by its logarithm."""
    return torch.addcmul(logarithmic, logarithmic, step, value=-1.0)


class _Line(torch.autograd.Function):
    """One operation each way, where autograd takes two for the derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shift: float, slope: float) -> Tensor:  # noqa: ANN401
        ctx.slope = slope
        return torch.rsub(x, shift, alpha=-slope)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        return gradient * ctx.slope, None, None


class _RisingStep(torch.autograd.Function):
    """``ds/dt = s (1-s) (1/p^2 - 2/p)``. Where p is not ``t (1-t)``, ``s (1-s)`` is exactly 0."""

    @staticmethod
    def forward(ctx: Any, t: Tensor) -> Tensor:  # noqa: ANN401
        step, p = step_and_product(t)
        ctx.save_for_backward(t, step, p)
        return step

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        t, step, p = ctx.saved_tensors
        if torch.is_grad_enabled():  # as a function of t, since it is differentiated again
            _, p = step_and_product(t)
        return along_argument(torch.ops.aten.sigmoid_backward(gradient, step), p)
