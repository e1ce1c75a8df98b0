"""Muon, an optimizer of matrices."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_MOMENTUM = 0.95
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic that is iterated
_ITERATIONS = 5
_LEAST_NORM = 1e-7


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made nearly orthogonal (Jordan et al., kellerjordan.github.io).

    The step of an (m, n) matrix has the root-mean-square of AdamW's, 0.2, so that both take the
    same learning rate (arXiv 2502.16982). The numbers are those of ``torch.optim.Muon``, which
    takes one matrix at a time, in bfloat16: a third of a training step on a CPU. Here the matrices
    of a shape are taken together, in their own precision.

    :param parameters: matrices
    :param lr: learning rate; weight_decay: share of a weight, times the rate, taken off per step
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change the matrices that have a gradient.

        :param closure: not supported
        :raises NotImplementedError: if a closure is given
        """
        if closure is not None:
            raise NotImplementedError("Muon takes gradients as they are; leave the closure out")
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for matrices in alike.values():
                self._step(matrices, group)

    def _step(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        """Change matrices of one shape."""
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        for matrix, gradient in zip(matrices, gradients, strict=True):
            if "momentum_buffer" not in self.state[matrix]:
                self.state[matrix]["momentum_buffer"] = torch.zeros_like(gradient)
        momenta = [self.state[matrix]["momentum_buffer"] for matrix in matrices]
        torch._foreach_lerp_(momenta, gradients, 1.0 - _MOMENTUM)
        ahead = torch.stack(gradients).lerp(torch.stack(momenta), _MOMENTUM)  # Nesterov's
        rate = group["lr"]
        length = 0.2 * math.sqrt(max(matrices[0].shape))
        steps = orthogonalized(ahead).unbind()
        torch._foreach_mul_(matrices, 1.0 - rate * group["weight_decay"])
        torch._foreach_add_(matrices, steps, alpha=-rate * length)


def orthogonalized(matrices: Tensor) -> Tensor:
    """Matrices with the same singular vectors and singular values near 1, between 0.7 and 1.2.

    :param matrices: (k, m, n)
    """
    a, b, c = _COEFFICIENTS
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=_LEAST_NORM)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x if wide else x.mT
