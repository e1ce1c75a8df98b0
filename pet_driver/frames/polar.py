"""Lengths and directions of vectors."""

from __future__ import annotations

import torch
from torch import Tensor


def along_vectors(
    of_lengths: Tensor, of_directions: Tensor, lengths: Tensor, directions: Tensor
) -> Tensor:
    """Gradient a d + (b - d (d.b)) / r by vectors, given a and b by their lengths and directions.

    :param of_lengths: (...), and so are ``lengths``
    :param of_directions: (..., 3), and so are ``directions``, unit vectors
    :return: (..., 3)
    """
    lengths = lengths[..., None]
    along = (of_directions * directions).sum(-1, keepdim=True)
    along = torch.addcmul(along, lengths, of_lengths[..., None], value=-1.0)
    return torch.addcmul(of_directions, directions, along, value=-1.0) / lengths
