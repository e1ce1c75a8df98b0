"""SiLU, layer norm and softmax with explicit second derivatives.

Training on forces differentiates twice. torch composes the second derivatives of these functions
of many elementwise operations, each a pass through memory; the formulas below need fewer. Values
and gradients are the same.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from .softmax import softmax as plain_softmax
from .softmax import softmax_gradient

_aten = torch.ops.aten


class _Context(Protocol):
    """What the functions below use of the context that torch passes to them (a private type)."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


def _apply(function: type[torch.autograd.Function], *arguments: Tensor | float) -> Tensor:
    result: Tensor = function.apply(*arguments)  # type: ignore[no-untyped-call]  # torch's own
    return result


def silu(x: Tensor) -> Tensor:
    """``x sigmoid(x)``, elementwise."""
    return _apply(_Silu, x)


def softmax(x: Tensor) -> Tensor:
    """Softmax along the last dimension."""
    return _apply(_Softmax, x)


class SiLU(nn.Module):
    """As ``torch.nn.SiLU``."""

    def forward(self, x: Tensor) -> Tensor:
        """Map x to ``x sigmoid(x)``, elementwise."""
        return silu(x)


class LayerNorm(nn.LayerNorm):
    """As ``torch.nn.LayerNorm`` over the last dimension."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (..., width) along the last dimension, in the dtype of the weights.

        Under autocast the input may be less precise, which CUDA's kernel does not take.
        """
        return _apply(_LayerNorm, x.to(self.weight.dtype), self.weight, self.bias, self.eps)


class _Silu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return nn.functional.silu(x)

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> Tensor:
        return _apply(_SiluGradient, gradient, *ctx.saved_tensors)


class _SiluGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, gradient: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(gradient, x)
        result: Tensor = _aten.silu_backward(gradient, x)
        return result

    @staticmethod
    def backward(ctx: _Context, outer: Tensor) -> tuple[Tensor, Tensor]:
        """With s the sigmoid, the second derivative is s (1 - s) (2 + x (1 - 2 s))."""
        gradient, x = ctx.saved_tensors
        s = torch.sigmoid(x)
        bend = torch.addcmul(x, x, s, value=-2.0).add_(2.0)
        bend.mul_(_aten.sigmoid_backward(outer * gradient, s))
        return _aten.silu_backward(outer, x), bend


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, x: Tensor) -> Tensor:
        p = plain_softmax(x)
        ctx.save_for_backward(p)
        return p

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> Tensor:
        (p,) = ctx.saved_tensors
        return _apply(_SoftmaxGradient, gradient, p)


class _SoftmaxGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, gradient: Tensor, p: Tensor) -> Tensor:
        ctx.save_for_backward(gradient, p)
        return softmax_gradient(gradient, p)

    @staticmethod
    def backward(ctx: _Context, outer: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of the gradient p (g - <g>), <g> = sum p g, contracted with o.

        That with respect to p is o (g - <g>) - g <o>.
        """
        gradient, p = ctx.saved_tensors
        to_gradient = softmax_gradient(outer, p)
        mean = torch.linalg.vecdot(gradient, p)[..., None]
        outer_mean = torch.linalg.vecdot(outer, p)[..., None]
        to_p = (gradient - mean).mul_(outer).addcmul_(gradient, outer_mean, value=-1.0)
        return to_gradient, to_p


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        y, mean, rstd = _aten.native_layer_norm(x, x.shape[-1:], weight, bias, eps)
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        result: Tensor = y
        return result

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, rstd = ctx.saved_tensors
        gradient = gradient.contiguous()
        if torch.is_grad_enabled():
            # On the way to forces: the weights' gradient is not wanted, its own gradient may be.
            return _apply(_LayerNormGradient, gradient, x, weight, mean, rstd), None, None, None
        wanted = list(ctx.needs_input_grad[:3])
        shape = x.shape[-1:]
        return (
            *_aten.native_layer_norm_backward(gradient, x, shape, mean, rstd, weight, bias, wanted),
            None,
        )


class _LayerNormGradient(torch.autograd.Function):
    """P(w g) with P(v) = (v - <v> - z <v z>) / s.

    z is the normalized input, s its standard deviation and <> the mean over features.
    """

    @staticmethod
    def forward(
        ctx: _Context,
        gradient: Tensor,
        x: Tensor,
        weight: Tensor,
        mean: Tensor,
        rstd: Tensor,
    ) -> Tensor:
        result = _project(gradient, x, weight, mean, rstd)
        ctx.save_for_backward(gradient, x, weight, mean, rstd, result)
        return result

    @staticmethod
    def backward(ctx: _Context, outer: Tensor) -> tuple[Tensor | None, ...]:
        """Derivatives of P(w g), contracted with o.

        P is linear and symmetric, so that with respect to w g is P(o). With respect to x it is
        -(P(w g) <o z> + P(o) <w g z> + z (<o w g> - <o> <w g> - <o z> <w g z>) / s) / s.
        """
        gradient, x, weight, mean, rstd, result = ctx.saved_tensors
        outer = outer.contiguous()
        projected = _project(outer, x, None, mean, rstd)
        z = (x - mean) * rstd
        h = gradient * weight
        width = x.shape[-1]

        def dot(a: Tensor, b: Tensor) -> Tensor:
            mean: Tensor = torch.linalg.vecdot(a, b)[..., None] / width
            return mean

        oz, hz = dot(outer, z), dot(h, z)
        left = dot(outer, h) - outer.mean(-1, keepdim=True) * h.mean(-1, keepdim=True) - oz * hz
        to_x = z.mul_(left * rstd).addcmul_(result, oz).addcmul_(projected, hz).mul_(-rstd)
        to_weight = (gradient * projected).reshape(-1, width).sum(0)
        return projected * weight, to_x, to_weight, None, None


def _project(
    gradient: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, rstd: Tensor
) -> Tensor:
    """Gradient of the normalized input times its weight (None: 1) with respect to the input."""
    result: Tensor = _aten.native_layer_norm_backward(
        gradient, x, x.shape[-1:], mean, rstd, weight, None, [True, False, False]
    )[0]
    return result
