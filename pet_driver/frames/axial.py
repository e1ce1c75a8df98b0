"""Axial frames: they replace pairs of neighbors where all neighbors lie close to one line."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .constants import FrameConstants
from .neighbor_pairs import NeighborGeometry
from .rotations import frame_from_axes, rotations_about_first_axis, tetrahedral_rotations
from .switches import switch_off

# Of a neighbor's switch: below it the neighbor cannot define an axis. Shares of a single neighbor
# that leaves stay defined down to it, and its square can still be represented.
_NEGLIGIBLE_SWITCH = 1e-140
_ON_AXIS = 1e-10  # sin^2 below which the direction across an axis is not taken from a neighbor

# environment (n_samples,), frames (n_samples, 3, 3), weights (n_samples,)
Samples = tuple[Tensor, Tensor, Tensor]


def axial_frames(
    neighbors: NeighborGeometry, constants: FrameConstants, covariant: bool = False
) -> Samples:
    """Frames for environments in which all neighbors lie close to a line.

    Each neighbor j inside the inner cutoff is an axis. Across it, the second direction points to
    each other neighbor k in turn, and ``axial_copies`` copies are turned about the axis by equal
    angles. Averaging over the copies removes the dependence on the second direction up to that
    order in the distance of k from the axis; the weights over k, sin^2 of its angle, are normalized
    for each axis, which keeps the result independent of the direction from which the line is
    approached. A neighbor alone needs one copy, an atom without neighbors any frame.

    :param covariant: the results are vectors or tensors: a neighbor alone then needs all copies,
        and an atom without neighbors the rotations of a tetrahedron, so that vectors vanish there
    :return: environment (n_samples,), frames (n_samples, 3, 3), weights (n_samples,) summing to 1
        for each environment
    """
    axes = _Axes.of(neighbors, constants.margin)
    env, frames, weights = axes.with_second_neighbor()
    copies = constants.axial_copies
    turned, turned_weights = _turned(frames, weights, copies)

    bare_env, bare, bare_weights = axes.without_second_neighbor()
    n_axes = axes.n_axes()
    alone = (n_axes[bare_env] == 1) & (not covariant)
    bare_turned, bare_turned_weights = _turned(bare[~alone], bare_weights[~alone], copies)

    empty = (n_axes == 0).nonzero().squeeze(1)
    free, free_weights = _free_frames(empty.numel(), covariant, turned)
    per_empty = len(free) // max(empty.numel(), 1)
    environments = [
        env.repeat_interleave(copies),
        bare_env[alone],
        bare_env[~alone].repeat_interleave(copies),
        empty.repeat_interleave(per_empty),
    ]
    return (
        torch.cat(environments),
        torch.cat([turned, bare[alone], bare_turned, free]),
        torch.cat([turned_weights, bare_weights[alone], bare_turned_weights, free_weights]),
    )


@dataclass(frozen=True)
class _Axes:
    """Neighbors as axes, and the neighbors that give each axis a second direction.

    directions: (n_environments, n_neighbors, 3); across: (n_environments, n_neighbors, n_neighbors,
    3), the part of the direction of neighbor k perpendicular to axis j; radial: (n_environments,
    n_neighbors), switch of each axis; share: its normalized weight; usable and across_share:
    (n_environments, n_neighbors, n_neighbors), whether k gives axis j a second direction, and its
    normalized weight.
    """

    directions: Tensor
    across: Tensor
    radial: Tensor
    share: Tensor
    usable: Tensor
    across_share: Tensor

    @classmethod
    def of(cls, neighbors: NeighborGeometry, margin: float) -> _Axes:
        lengths, directions = neighbors.lengths, neighbors.directions
        width = lengths.shape[1]
        radial = switch_off(lengths, neighbors.inner[:, None], margin)
        radial = torch.where(radial > _NEGLIGIBLE_SWITCH, radial, 0.0)
        total = radial.sum(1)
        share = radial / torch.where(total > 0.0, total, 1.0)[:, None]

        e1 = directions[:, :, None, :]
        across = directions[:, None, :, :]
        across = across - (across * e1).sum(-1, keepdim=True) * e1
        sin2 = (across**2).sum(-1)
        other = ~torch.eye(width, dtype=torch.bool, device=lengths.device)
        weight = sin2 * radial[:, None, :] * other
        usable = (
            (sin2.detach() > _ON_AXIS)
            & (weight.detach() > _NEGLIGIBLE_SWITCH)
            & (radial > 0.0)[:, :, None]
        )
        weight = torch.where(usable, weight, 0.0)
        across_total = weight.sum(2)
        across_share = weight / torch.where(across_total > 0.0, across_total, 1.0)[:, :, None]
        return cls(directions, across, radial, share, usable, across_share)

    def n_axes(self) -> Tensor:
        """Number of axes of each environment, (n_environments,)."""
        return (self.radial > 0.0).sum(1)

    def with_second_neighbor(self) -> Samples:
        """One frame for each axis and each neighbor off it, before it is turned."""
        env, axis, side = self.usable.nonzero(as_tuple=True)
        e2 = self.across[env, axis, side]
        e2 = e2 / torch.linalg.vector_norm(e2, dim=-1, keepdim=True)
        frames = frame_from_axes(self.directions[env, axis], e2)
        return env, frames, self.share[env, axis] * self.across_share[env, axis, side]

    def without_second_neighbor(self) -> Samples:
        """One frame for each axis with no neighbor off it, before it is turned."""
        env, axis = ((self.radial > 0.0) & ~self.usable.any(2)).nonzero(as_tuple=True)
        return env, _frame_about(self.directions[env, axis]), self.share[env, axis]


def _free_frames(n_environments: int, covariant: bool, like: Tensor) -> tuple[Tensor, Tensor]:
    """Frames and weights of environments without neighbors; dtype and device of ``like``."""
    rotations = tetrahedral_rotations() if covariant else torch.eye(3, dtype=torch.float64)[None]
    frames = rotations.to(like).repeat(n_environments, 1, 1)
    return frames, like.new_full((len(frames),), 1.0 / len(rotations))


def _frame_about(e1: Tensor) -> Tensor:
    """Frames with a given first axis; the second is any across it that changes smoothly with it."""
    helper = torch.nn.functional.one_hot(e1.detach().abs().argmin(-1), 3).to(e1.dtype)
    normal = torch.linalg.cross(e1, helper)
    return frame_from_axes(e1, normal / torch.linalg.vector_norm(normal, dim=-1, keepdim=True))


def _turned(frames: Tensor, weights: Tensor, copies: int) -> tuple[Tensor, Tensor]:
    """Copies of each frame turned about its first axis by equal angles, sharing its weight."""
    rotations = rotations_about_first_axis(copies, frames)
    turned = (frames[:, None] @ rotations).reshape(-1, 3, 3)
    return turned, (weights / copies).repeat_interleave(copies)
