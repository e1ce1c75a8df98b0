"""Lengths and directions of vectors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def polar(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths and directions of vectors, none of which is zero.

    :param vectors: (..., 3)
    :return: (...), in the unit of ``vectors``, and (..., 3), unit vectors
    """
    lengths, directions = _Polar.apply(vectors)  # type: ignore[no-untyped-call]  # torch's own
    return lengths, directions


class _Polar(torch.autograd.Function):
    """``r = |v|`` and ``d = v / r``; can be differentiated again.

    With the gradients a of r and b of d, that of v is ``a d + (b - d (d.b)) / r``.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        lengths = torch.linalg.vector_norm(vectors, dim=-1)
        directions = vectors / lengths[..., None]
        ctx.save_for_backward(lengths, directions)
        ctx.set_materialize_grads(False)
        return lengths, directions

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401
        of_lengths: Tensor | None,
        of_directions: Tensor | None,
    ) -> Tensor | None:
        lengths, directions = ctx.saved_tensors
        lengths = lengths[..., None]
        if of_directions is None:
            return None if of_lengths is None else of_lengths[..., None] * directions
        along = (of_directions * directions).sum(-1, keepdim=True)
        if of_lengths is not None:
            along = torch.addcmul(along, lengths, of_lengths[..., None], value=-1.0)
        result: Tensor = torch.addcmul(of_directions, directions, along, value=-1.0) / lengths
        return result
