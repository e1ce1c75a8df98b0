"""Softmax along short rows, and its gradient, in passes that a CPU makes quickly.

torch's own softmax handles each row by itself: where rows are shorter than a vector register, or
end within one, most of the time goes into their ends. The passes below run over all rows at once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG2_E = math.log2(math.e)
_SAFE = 100.0  # logits to the base 2 whose powers are far from the limits of float32


def softmax(x: Tensor) -> Tensor:
    """Softmax along the last dimension."""
    if x.is_cuda or x.itemsize < 4:  # torch adds numbers of 16 bits in 32
        return torch.softmax(x, dim=-1)
    return softmax_of_base_2(x * LOG2_E)


def softmax_of_base_2(logits: Tensor) -> Tensor:
    """``2^logits``, normalized along the last dimension; overwrites the logits.

    torch's exp2 takes a third of the time of its exp, and the largest number of each row more time
    than all else together. It is subtracted only where powers could be too large, or, in the first
    column, too small.
    """
    if logits.numel() == 0:
        return logits
    if not bool((logits.amax() < _SAFE) & (logits[..., 0].amin() > -_SAFE)):
        logits.sub_(logits.amax(-1, keepdim=True))
    logits.exp2_()
    return logits.div_(logits.sum(-1, keepdim=True))


def softmax_gradient(gradient: Tensor, weights: Tensor) -> Tensor:
    """Gradient of the logits (to the base e) from that of the weights, the result of the softmax.

    It is ``w (g - sum w g)``.
    """
    if gradient.is_cuda:
        result: Tensor = torch.ops.aten._softmax_backward_data(gradient, weights, -1, weights.dtype)
        return result
    product = gradient * weights
    along = product.sum(-1, keepdim=True)
    return product.addcmul_(weights, along, value=-1.0)
