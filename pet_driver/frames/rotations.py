"""Frames from two axes, fixed rotations that multiply frames, and rotation out of a frame."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

# Super-Fibonacci spirals on the quaternions (Alexa, CVPR 2022): psi^4 = psi + 4.
_PHI = math.sqrt(2.0)
_PSI = 1.533751168755204288118041


def frame_from_axes(e1: Tensor, e2: Tensor) -> Tensor:
    """Right-handed frames whose columns are e1, e2 and their cross product.

    :param e1: (n, 3), unit vectors
    :param e2: (n, 3), unit vectors perpendicular to ``e1``
    :return: (n, 3, 3)
    """
    return torch.stack([e1, e2, torch.linalg.cross(e1, e2)], dim=-1)


def fixed_rotations(extra_rotations: int, parity: bool) -> Tensor:
    """Matrices that multiply every frame from the right: the identity and further rotations.

    The set is the same in every call: a rotation drawn anew would make the energy a random function
    of time. As the second axis of a frame is a pseudovector, a frame F of a structure becomes
    ``M F D`` with ``D = diag(1, -1, 1)`` as the structure is mirrored by M. So averages over
    ``F R`` and ``F D R`` for each rotation R are invariant under mirrors and inversion too.

    :param extra_rotations: number of rotations besides the identity
    :param parity: add ``D R`` for each R, for invariance under O(3)
    :return: (n_rotations, 3, 3), float64
    """
    rotations = [torch.eye(3, dtype=torch.float64)[None], _even_rotations(extra_rotations)]
    matrices = torch.cat(rotations)
    if parity:
        mirror = torch.diag(torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64))
        matrices = torch.cat([matrices, mirror @ matrices])
    return matrices


def _even_rotations(count: int) -> Tensor:
    """Evenly distributed rotations, (count, 3, 3): super-Fibonacci sampling."""
    s = torch.arange(count, dtype=torch.float64) + 0.5
    sine, cosine = torch.sqrt(s / max(count, 1)), torch.sqrt(1.0 - s / max(count, 1))
    a, b = 2.0 * math.pi * s / _PHI, 2.0 * math.pi * s / _PSI
    x, y, z, w = sine * a.sin(), sine * a.cos(), cosine * b.sin(), cosine * b.cos()
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def rotations_about_first_axis(copies: int, like: Tensor) -> Tensor:
    """Rotations about x by multiples of 2 pi / copies, (copies, 3, 3), of the dtype of ``like``."""
    angles = torch.arange(copies, dtype=like.dtype, device=like.device) * (2.0 * math.pi / copies)
    cos, sin = angles.cos(), angles.sin()
    one, zero = torch.ones_like(cos), torch.zeros_like(cos)
    entries = [one, zero, zero, zero, cos, -sin, zero, sin, cos]
    return torch.stack(entries, dim=-1).view(copies, 3, 3)


def tetrahedral_rotations() -> Tensor:
    """The 12 rotations of a tetrahedron, (12, 3, 3), float64.

    Averaged over them a vector vanishes, and of a rank 2 tensor only its trace is left.
    """
    axes = torch.eye(3, dtype=torch.float64)
    signs = [s for s in itertools.product((1.0, -1.0), repeat=3) if math.prod(s) > 0]
    cyclic = [axes[[0, 1, 2]], axes[[1, 2, 0]], axes[[2, 0, 1]]]
    return torch.stack([torch.tensor(s, dtype=torch.float64) * p for s in signs for p in cyclic])


def rotate_back(values: Tensor, frames: Tensor) -> Tensor:
    """Vectors ``F y`` or tensors ``F y F^T``: from local coordinates to those of the structure.

    :param values: (n_samples, 3) or (n_samples, 3, 3), in local coordinates
    :param frames: (n_samples, 3, 3)
    :return: as ``values``
    """
    if values.dim() == 2:
        return (frames @ values[..., None]).squeeze(-1)
    return frames @ values @ frames.transpose(1, 2)
