"""SiLU, layer norm and softmax with second derivatives of their own.

Training on forces differentiates twice. torch composes the second derivatives of these functions
of many elementwise operations, each a pass through memory; with the formulas below it is fewer.
Values and gradients are the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_aten = torch.ops.aten


def silu(x: Tensor) -> Tensor:
    """``x sigmoid(x)``"""
    return _Silu.apply(x)


def softmax(x: Tensor) -> Tensor:
    """Along the last dimension."""
    return _Softmax.apply(x)


class SiLU(nn.Module):
    """As ``torch.nn.SiLU``."""

    def forward(self, x: Tensor) -> Tensor:
        return silu(x)


class LayerNorm(nn.LayerNorm):
    """As ``torch.nn.LayerNorm`` over the last dimension."""

    def forward(self, x: Tensor) -> Tensor:
        return _LayerNorm.apply(x, self.weight, self.bias, self.eps)


class _Silu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # noqa: ANN001 (torch's own type is private)
        ctx.save_for_backward(x)
        return nn.functional.silu(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # noqa: ANN001
        return _SiluGradient.apply(gradient, *ctx.saved_tensors)


class _SiluGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gradient: Tensor, x: Tensor) -> Tensor:  # noqa: ANN001
        ctx.save_for_backward(gradient, x)
        return _aten.silu_backward(gradient, x)

    @staticmethod
    def backward(ctx, outer: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN001
        """With s the sigmoid, the second derivative is s (1 - s) (2 + x (1 - 2 s))."""
        gradient, x = ctx.saved_tensors
        s = torch.sigmoid(x)
        bend = torch.addcmul(x, x, s, value=-2.0).add_(2.0)
        bend.mul_(_aten.sigmoid_backward(outer * gradient, s))
        return _aten.silu_backward(outer, x), bend


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # noqa: ANN001
        p = torch.softmax(x, dim=-1)
        ctx.save_for_backward(p)
        return p

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # noqa: ANN001
        (p,) = ctx.saved_tensors
        return _SoftmaxGradient.apply(gradient, p)


class _SoftmaxGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gradient: Tensor, p: Tensor) -> Tensor:  # noqa: ANN001
        ctx.save_for_backward(gradient, p)
        return _aten._softmax_backward_data(gradient, p, -1, p.dtype)

    @staticmethod
    def backward(ctx, outer: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN001
        """The gradient is p (g - <g>) with <g> = sum p g; its change with p, contracted with o, is
        o (g - <g>) - g <o>.
        """
        gradient, p = ctx.saved_tensors
        to_gradient = _aten._softmax_backward_data(outer, p, -1, p.dtype)
        mean = torch.linalg.vecdot(gradient, p)[..., None]
        outer_mean = torch.linalg.vecdot(outer, p)[..., None]
        to_p = (gradient - mean).mul_(outer).addcmul_(gradient, outer_mean, value=-1.0)
        return to_gradient, to_p


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:  # noqa: ANN001
        y, mean, rstd = _aten.native_layer_norm(x, x.shape[-1:], weight, bias, eps)
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        return y

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        x, weight, bias, mean, rstd = ctx.saved_tensors
        gradient = gradient.contiguous()
        if torch.is_grad_enabled():
            # On the way to forces: the weights' gradient is not wanted, its own gradient may be.
            return _LayerNormGradient.apply(gradient, x, weight, mean, rstd), None, None, None
        wanted = list(ctx.needs_input_grad[:3])
        shape = x.shape[-1:]
        return (
            *_aten.native_layer_norm_backward(gradient, x, shape, mean, rstd, weight, bias, wanted),
            None,
        )


class _LayerNormGradient(torch.autograd.Function):
    """P(w g), where P(v) = (v - <v> - z <v z>) / s, with z the normalized input, s its standard
    deviation and <> the mean over features.
    """

    @staticmethod
    def forward(
        ctx,  # noqa: ANN001
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
    def backward(ctx, outer: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        """P is linear and symmetric, so the gradient with respect to w g is P(o). With respect to x
        it is -(P(w g) <o z> + P(o) <w g z> + z (<o w g> - <o> <w g> - <o z> <w g z>) / s) / s.
        """
        gradient, x, weight, mean, rstd, result = ctx.saved_tensors
        outer = outer.contiguous()
        projected = _project(outer, x, None, mean, rstd)
        z = (x - mean) * rstd
        h = gradient * weight
        width = x.shape[-1]

        def dot(a: Tensor, b: Tensor) -> Tensor:
            return torch.linalg.vecdot(a, b)[..., None] / width

        oz, hz = dot(outer, z), dot(h, z)
        left = dot(outer, h) - outer.mean(-1, keepdim=True) * h.mean(-1, keepdim=True) - oz * hz
        to_x = z.mul_(left * rstd).addcmul_(result, oz).addcmul_(projected, hz).mul_(-rstd)
        to_weight = (gradient * projected).reshape(-1, width).sum(0)
        return projected * weight, to_x, to_weight, None, None


def _project(
    gradient: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, rstd: Tensor
) -> Tensor:
    return _aten.native_layer_norm_backward(
        gradient, x, x.shape[-1:], mean, rstd, weight, None, [True, False, False]
    )[0]
