"""Fixed rotations that multiply frames, and rotation of vectors and tensors out of a frame."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Super-Fibonacci spirals on the quaternions (Alexa, CVPR 2022): psi^4 = psi + 4.
_PHI = math.sqrt(2.0)
_PSI = 1.533751168755204288118041


def fixed_rotations(extra_rotations: int, parity: bool) -> Tensor:
    """Matrices that multiply every frame from the right: the identity, so many further rotations,
    and with ``parity`` the mirrored copy of each.

    The set is the same in every call: a rotation drawn anew would make the energy a random function
    of time. Averages over ``F`` and ``F diag(1, -1, 1)`` are invariant under inversion too, as the
    second axis of a frame is a pseudovector.

    :return: (n_turns, 3, 3), float64
    """
    turns = torch.cat([torch.eye(3, dtype=torch.float64)[None], _spread_rotations(extra_rotations)])
    if parity:
        mirror = torch.diag(torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64))
        turns = torch.cat([turns, turns @ mirror])
    return turns


def _spread_rotations(count: int) -> Tensor:
    """Evenly spread rotations, (count, 3, 3): super-Fibonacci sampling."""
    s = torch.arange(count, dtype=torch.float64) + 0.5
    near, far = torch.sqrt(s / max(count, 1)), torch.sqrt(1.0 - s / max(count, 1))
    a, b = 2.0 * math.pi * s / _PHI, 2.0 * math.pi * s / _PSI
    x, y, z, w = near * a.sin(), near * a.cos(), far * b.sin(), far * b.cos()
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def rotate_back(values: Tensor, frames: Tensor) -> Tensor:
    """Vectors ``F y`` or tensors ``F y F^T`` in the coordinates of the structure.

    :param values: (n_rows, 3) or (n_rows, 3, 3), in local coordinates
    :param frames: (n_rows, 3, 3)
    """
    if values.dim() == 2:
        return (frames @ values[..., None]).squeeze(-1)
    return frames @ values @ frames.transpose(1, 2)
