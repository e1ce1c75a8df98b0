"""Parts of a network with frozen weights, with their backward passes written out.

At inference only the gradient with respect to the positions is wanted. It needs fewer numbers from
the forward pass than autograd keeps, and fewer passes through memory: weights of norms are folded
into the linear maps that follow, and activations keep their derivative only. Values and gradients
are those of the modules, up to the order of sums.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .attention import FeedForward
from .twice_differentiable import LayerNorm

_aten = torch.ops.aten
# What the forward pass keeps for the backward pass, which takes it back from the end.
Tape = list[Tensor]
ROWS = 2048  # processed at a time
_ROWS_ONLY = [True, False, False]  # of the gradients of a norm's input, weight and bias


class FrozenBlock(ABC):
    """Rows to rows, (n, width_in) to (n, width_out), differentiated with respect to the rows."""

    @abstractmethod
    def forward(self, x: Tensor, tape: Tape) -> Tensor:
        """Map rows (n, width_in) to (n, width_out); activations overwrite them."""

    @abstractmethod
    def backward(self, gradient: Tensor, tape: Tape) -> Tensor:
        """Gradient of the rows, (n, width_in).

        :param gradient: (n, width_out), of the result; may be overwritten
        """


class FrozenLinear(FrozenBlock):
    """``x @ weight.T + bias``.

    :param weight: (width_out, width_in); bias: (width_out,)
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight, bias

    @classmethod
    def of(cls, linear: nn.Linear, norm: nn.Module | None = None) -> FrozenLinear:
        """The map of a module, which takes the result of a norm times the weights of the norm.

        :param norm: None: it takes the rows as they are
        """
        weight, bias = linear.weight.detach(), linear.bias.detach()
        if isinstance(norm, LayerNorm):
            bias = torch.addmv(bias, weight, norm.bias.detach())
        if isinstance(norm, LayerNorm | nn.RMSNorm):
            weight = weight * norm.weight.detach()
        return cls(weight, bias)

    def forward(self, x: Tensor, tape: Tape) -> Tensor:  # noqa: ARG002
        """Map rows, see `FrozenBlock.forward`."""
        return torch.addmm(self.bias, x, self.weight.t())

    def backward(self, gradient: Tensor, tape: Tape) -> Tensor:  # noqa: ARG002
        """Gradient of the rows, see `FrozenBlock.backward`."""
        return gradient @ self.weight


class FrozenNorm(FrozenBlock):
    """Layer norm or RMS norm without weights, which are those of the linear map that follows."""

    def __init__(self, norm: nn.Module) -> None:
        assert isinstance(norm, LayerNorm | nn.RMSNorm)
        self._centred, self._eps = isinstance(norm, LayerNorm), norm.eps
        # torch is twice as fast with weights as without.
        self._ones = torch.ones_like(norm.weight, requires_grad=False)
        self._zeros = torch.zeros_like(self._ones)

    def forward(self, x: Tensor, tape: Tape) -> Tensor:
        """Map rows, see `FrozenBlock.forward`."""
        result: Tensor
        if self._centred:
            result, mean, scale = _aten.native_layer_norm(
                x, x.shape[-1:], self._ones, self._zeros, self._eps
            )
            tape += [x, mean, scale]
            return result
        eps = torch.finfo(x.dtype).eps if self._eps is None else self._eps
        scale = torch.linalg.vecdot(x, x)[:, None].div_(x.shape[-1]).add_(eps).rsqrt_()
        result = x * scale
        tape += [result, scale]
        return result

    def backward(self, gradient: Tensor, tape: Tape) -> Tensor:
        """Gradient of the rows, see `FrozenBlock.backward`."""
        scale = tape.pop()
        if self._centred:
            mean, x = tape.pop(), tape.pop()
            result: Tensor = _aten.native_layer_norm_backward(
                gradient, x, x.shape[-1:], mean, scale, self._ones, self._zeros, _ROWS_ONLY
            )[0]
            return result
        z = tape.pop()
        along = torch.linalg.vecdot(gradient, z)[:, None].div_(-z.shape[-1])
        return torch.addcmul(gradient, z, along).mul_(scale)


class FrozenSilu(FrozenBlock):
    """``y = x s`` with s the sigmoid of x, whose derivative is ``y + s (1 - y)``.

    The rows are overwritten: memory that was just used is in the cache, and fresh memory is not.

    :param like: any tensor of the dtype and on the device of the rows
    """

    def __init__(self, like: Tensor) -> None:
        self._one = torch.ones((), dtype=like.dtype, device=like.device)

    def forward(self, x: Tensor, tape: Tape) -> Tensor:
        """Map rows, see `FrozenBlock.forward`."""
        share = torch.sigmoid(x)
        x.mul_(share)
        tape.append(torch.lerp(x, self._one, share, out=share))
        return x

    def backward(self, gradient: Tensor, tape: Tape) -> Tensor:
        """Gradient of the rows, see `FrozenBlock.backward`."""
        return gradient.mul_(tape.pop())


class FrozenGate(FrozenBlock):
    """``value sigmoid(gate)`` of the two halves of each row."""

    def forward(self, x: Tensor, tape: Tape) -> Tensor:
        """Map rows, see `FrozenBlock.forward`."""
        value, gate = x.chunk(2, dim=1)
        share = torch.sigmoid(gate)
        result = value * share
        tape += [share, torch.addcmul(result, result, share, value=-1.0)]
        return result

    def backward(self, gradient: Tensor, tape: Tape) -> Tensor:
        """Gradient of the rows, see `FrozenBlock.backward`."""
        slope, share = tape.pop(), tape.pop()
        n, width = gradient.shape
        result = gradient.new_empty(n, 2 * width)
        torch.mul(gradient, share, out=result[:, :width])
        torch.mul(gradient, slope, out=result[:, width:])
        return result


class FrozenChain(FrozenBlock):
    """Blocks one after another."""

    def __init__(self, *blocks: FrozenBlock) -> None:
        self._blocks = blocks

    @classmethod
    def of(cls, layers: nn.Sequential, norm: nn.Module | None = None) -> FrozenChain:
        """Linear maps with SiLU between them, and a norm (None: none) before them."""
        linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        blocks: list[FrozenBlock] = [] if norm is None else [FrozenNorm(norm)]
        blocks.append(FrozenLinear.of(linear[0], norm))
        for layer in linear[1:]:
            blocks += [FrozenSilu(layer.weight), FrozenLinear.of(layer)]
        return cls(*blocks)

    @classmethod
    def of_feed_forward(cls, layers: FeedForward, norm: nn.Module) -> FrozenChain:
        """A norm and the feed-forward part of a transformer."""
        activation = FrozenGate() if layers.gated else FrozenSilu(layers.w_in.weight)
        first, last = FrozenLinear.of(layers.w_in, norm), FrozenLinear.of(layers.w_out)
        return cls(FrozenNorm(norm), first, activation, last)

    def forward(self, x: Tensor, tape: Tape) -> Tensor:
        """Map rows, see `FrozenBlock.forward`."""
        for block in self._blocks:
            x = block.forward(x, tape)
        return x

    def backward(self, gradient: Tensor, tape: Tape) -> Tensor:
        """Gradient of the rows, see `FrozenBlock.backward`."""
        for block in reversed(self._blocks):
            gradient = block.backward(gradient, tape)
        return gradient

    def values(self, x: Tensor) -> Tensor:
        """Map (..., width_in) to (..., width_out), which nothing is differentiated through."""
        with torch.no_grad():
            rows = x.detach().reshape(-1, x.shape[-1])
            result = joined([self.forward(some, []) for some in _in_cache(rows)])
        return result.view(*x.shape[:-1], result.shape[-1])

    def __call__(self, x: Tensor) -> Tensor:
        """Map (..., width_in) to (..., width_out), recorded by autograd."""
        result: Tensor = _Recorded.apply(self, x)  # type: ignore[no-untyped-call]
        return result


class _Recorded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, block: FrozenBlock, x: Tensor) -> Tensor:  # noqa: ANN401
        tape: Tape = []
        parts = [block.forward(rows, tape) for rows in _in_cache(x.reshape(-1, x.shape[-1]))]
        ctx.block, ctx.shape = block, x.shape
        ctx.save_for_backward(*tape)
        result = joined(parts)
        return result.view(*x.shape[:-1], result.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:  # noqa: ANN401
        tape = list(ctx.saved_tensors)
        parts = _in_cache(gradient.reshape(-1, gradient.shape[-1]))
        found = [ctx.block.backward(rows, tape) for rows in reversed(parts)]
        return None, joined(found[::-1]).view(ctx.shape)


def _in_cache(rows: Tensor) -> tuple[Tensor, ...]:
    """Runs of rows whose intermediate results fit into the cache of a core."""
    return torch.split(rows, ROWS)


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Rows of all parts."""
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts))
