"""Axial frames: what replaces pairs of neighbors where no pair spans a plane well."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from .constants import FrameConstants
from .switches import switch_off

_NEGLIGIBLE_SWITCH = 1e-20  # of a neighbor's switch: below it the neighbor cannot define an axis
_ON_AXIS = 1e-10  # sin^2 below which the direction across an axis is not taken from a neighbor


def axial_frames(
    lengths: Tensor,
    directions: Tensor,
    valid: Tensor,
    inner: Tensor,
    hyper: FrameConstants,
    covariant: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Frames for environments in which all neighbors lie close to a line.

    Each neighbor j inside the inner cutoff is an axis. Across it, the second direction points to
    each other neighbor k in turn, and ``axial_copies`` copies are turned about the axis by equal
    angles. Averaging over the copies removes the dependence on the second direction up to that
    order in the distance of k from the axis; the weights over k, sin^2 of its angle, are normalized
    for each axis, which keeps the result independent of the direction from which the line is
    approached. A neighbor alone needs one copy, an atom without neighbors any frame.

    :param inner: (n_environments,), the inner cutoff, angstrom
    :param covariant: the results are vectors or tensors: a neighbor alone then needs all copies,
        and an atom without neighbors the rotations of a tetrahedron, for what has no reason to
        point anywhere to vanish
    :return: environment (n_rows,), frames (n_rows, 3, 3), weights (n_rows,) summing to 1 for each
        environment
    """
    width = lengths.shape[1]
    radial = switch_off(lengths, inner[:, None], hyper.margin) * valid
    radial = torch.where(radial > _NEGLIGIBLE_SWITCH, radial, 0.0)
    axis_total = radial.sum(1)
    empty = (axis_total == 0.0).nonzero().squeeze(1)
    axis_share = radial / torch.where(axis_total > 0.0, axis_total, 1.0)[:, None]

    e1 = directions[:, :, None, :]
    across = directions[:, None, :, :]
    across = across - (across * e1).sum(-1, keepdim=True) * e1
    sin2 = (across**2).sum(-1)
    other = ~torch.eye(width, dtype=torch.bool, device=lengths.device)
    reach = sin2 * radial[:, None, :] * other
    usable = (
        (sin2.detach() > _ON_AXIS)
        & (reach.detach() > _NEGLIGIBLE_SWITCH)
        & (radial > 0.0)[:, :, None]
    )
    reach = torch.where(usable, reach, 0.0)
    across_total = reach.sum(2)
    across_share = reach / torch.where(across_total > 0.0, across_total, 1.0)[:, :, None]

    env, axis, side = usable.nonzero(as_tuple=True)
    e2 = across[env, axis, side]
    e2 = e2 / torch.linalg.vector_norm(e2, dim=-1, keepdim=True)
    frames, weights = _turned(
        frame_from_axes(directions[env, axis], e2),
        axis_share[env, axis] * across_share[env, axis, side],
        hyper.axial_copies,
    )
    environments = env.repeat_interleave(hyper.axial_copies)

    bare_env, bare_axis = ((radial > 0.0) & ~usable.any(2)).nonzero(as_tuple=True)
    alone = ((radial > 0.0).sum(1)[bare_env] == 1) & (not covariant)
    bare = _frame_about(directions[bare_env, bare_axis])
    share = axis_share[bare_env, bare_axis]
    lined, lined_share = _turned(bare[~alone], share[~alone], hyper.axial_copies)

    turns = _tetrahedral_rotations() if covariant else torch.eye(3, dtype=torch.float64)[None]
    free = turns.to(frames).repeat(empty.numel(), 1, 1)
    free_share = frames.new_full((len(free),), 1.0 / len(turns))
    return (
        torch.cat(
            [
                environments,
                bare_env[alone],
                bare_env[~alone].repeat_interleave(hyper.axial_copies),
                empty.repeat_interleave(len(turns)),
            ]
        ),
        torch.cat([frames, bare[alone], lined, free]),
        torch.cat([weights, share[alone], lined_share, free_share]),
    )


def frame_from_axes(e1: Tensor, e2: Tensor) -> Tensor:
    """Right-handed frames from two orthonormal axes, each (n, 3); the axes are the columns of the
    result.
    """
    return torch.stack([e1, e2, torch.linalg.cross(e1, e2)], dim=-1)


def _frame_about(e1: Tensor) -> Tensor:
    """Frames with a given first axis; the second is any across it that changes smoothly with it."""
    helper = torch.nn.functional.one_hot(e1.detach().abs().argmin(-1), 3).to(e1.dtype)
    normal = torch.linalg.cross(e1, helper)
    return frame_from_axes(e1, normal / torch.linalg.vector_norm(normal, dim=-1, keepdim=True))


def _turned(frames: Tensor, weights: Tensor, copies: int) -> tuple[Tensor, Tensor]:
    """Copies of each frame turned about its first axis by multiples of 2 pi / copies, sharing its
    weight.
    """
    angles = torch.arange(copies, dtype=frames.dtype, device=frames.device) * (
        2.0 * math.pi / copies
    )
    cos, sin = angles.cos(), angles.sin()
    one, zero = torch.ones_like(cos), torch.zeros_like(cos)
    turns = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], dim=-1).view(
        copies, 3, 3
    )
    turned = (frames[:, None] @ turns).reshape(-1, 3, 3)
    return turned, (weights / copies).repeat_interleave(copies)


def _tetrahedral_rotations() -> Tensor:
    """The rotations of a tetrahedron, (12, 3, 3): averages over them leave no vector, and of a rank
    2 tensor only its trace."""
    axes = torch.eye(3, dtype=torch.float64)
    signs = [s for s in itertools.product((1.0, -1.0), repeat=3) if math.prod(s) > 0]
    cyclic = [axes[[0, 1, 2]], axes[[1, 2, 0]], axes[[2, 0, 1]]]
    return torch.stack([torch.tensor(s, dtype=torch.float64) * p for s in signs for p in cyclic])
