"""Pairs of neighbors: the inner cutoff, the weights of the pairs and the frames that they span."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .constants import FrameConstants
from .rotations import frame_from_axes
from .switches import switch_off, switch_on

_LAMBERT_W_OF_1_OVER_E = 0.2784645427610738  # T(beta) = W0(1/e) / beta


@dataclass(frozen=True)
class NeighborGeometry:
    """Distances and directions of the neighbors of each centre, and the inner cutoff.

    lengths, valid: (n_centres, n_neighbors), angstrom, False for padding; directions: (n_centres,
    n_neighbors, 3), unit vectors; inner: (n_centres,), angstrom.
    """

    lengths: Tensor
    directions: Tensor
    valid: Tensor
    inner: Tensor

    def select(self, centres: Tensor) -> NeighborGeometry:
        """Geometry of some of the centres.

        :param centres: (n_kept,), indices
        """
        return NeighborGeometry(
            self.lengths[centres],
            self.directions[centres],
            self.valid[centres],
            self.inner[centres],
        )


@dataclass(frozen=True)
class NeighborPairs:
    """Ordered pairs of neighbors of every centre, before pruning.

    centre: (n_pairs,), ascending; first, second: (n_pairs,), positions of the two among the
    neighbors of the centre; weights: (n_pairs,), the paper's, not normalized; neighbors: the
    geometry that they are made from.
    """

    neighbors: NeighborGeometry
    centre: Tensor
    first: Tensor
    second: Tensor
    weights: Tensor

    @classmethod
    def of(
        cls, vectors: Tensor, valid: Tensor, cutoff: float, constants: FrameConstants
    ) -> NeighborPairs:
        """All pairs inside the inner cutoff of each centre.

        Parameters as in `environment_frames`.
        """
        # Padding gets a fixed direction at twice the cutoff: finite, and its weight is zero.
        padding = vectors.new_tensor([2.0 * cutoff, 0.0, 0.0])
        vectors = torch.where(valid[..., None], vectors, padding)
        lengths = torch.linalg.vector_norm(vectors, dim=-1)
        # Nearest first, so that tables over pairs can be cut to the neighbors that count in them.
        lengths, order = torch.sort(lengths, dim=1, stable=True)
        vectors = vectors.gather(1, order[..., None].expand_as(vectors))
        valid = valid.gather(1, order)
        directions = vectors / lengths[..., None]
        outer = cutoff - constants.margin
        near = _most_within(lengths, outer)
        inner = inner_cutoff(
            lengths[:, :near], _sin2(directions[:, :near]), valid[:, :near], outer, constants
        )
        axis = axis_cutoff(lengths, valid, outer, constants)
        near = _most_within(lengths, inner[:, None])
        neighbors = NeighborGeometry(
            lengths[:, :near], directions[:, :near], valid[:, :near], inner
        )
        return pairs_within(neighbors, _sin2(neighbors.directions), constants, axis)

    def frames(self, some: Tensor) -> Tensor:
        """Frames of some of the pairs, (n_kept, 3, 3).

        The first axis points along the first neighbor, the second along the normal of the plane of
        both.

        :param some: (n_kept,), indices
        """
        directions, centre = self.neighbors.directions, self.centre[some]
        e1 = directions[centre, self.first[some]]
        normal = torch.linalg.cross(e1, directions[centre, self.second[some]])
        e2 = normal / torch.linalg.vector_norm(normal, dim=-1, keepdim=True)
        return frame_from_axes(e1, e2)

    def log_contrast(self, first_length: float, second_length: float) -> Tensor:
        """Logarithm of the contrast of each pair, ``-r_j / l1 - r_k / l2``, (n_pairs,).

        :param first_length: l1, angstrom
        :param second_length: l2, angstrom
        """
        lengths = self.neighbors.lengths
        r_first, r_second = lengths[self.centre, self.first], lengths[self.centre, self.second]
        return -(r_first / first_length + r_second / second_length)


def _most_within(lengths: Tensor, end: Tensor | float) -> int:
    """Largest number of neighbors of a centre that are nearer than its end; at least 1.

    :param lengths: (n_centres, n_neighbors), angstrom, ascending
    :param end: (n_centres, 1) or one for all, angstrom
    """
    counts = (lengths < end).sum(1)
    return max(int(counts.max()) if len(counts) else 0, 1)


def _sin2(directions: Tensor) -> Tensor:
    """Squared sine of the angle between neighbors, (n_centres, n_neighbors, n_neighbors)."""
    return 1.0 - (directions @ directions.transpose(1, 2)) ** 2


def inner_cutoff(
    lengths: Tensor, sin2: Tensor, valid: Tensor, outer: float, constants: FrameConstants
) -> Tensor:
    """Radius that just encloses the closest non-collinear pair of neighbors: the paper's R_in.

    SmoothMin over the outer radius and, for each pair, SmoothMax(r, r') + T(beta), the pairs
    weighted by their switches.

    :param lengths: (n_centres, n_neighbors), angstrom
    :param sin2: (n_centres, n_neighbors, n_neighbors), squared sine of the angle between neighbors
    :param valid: (n_centres, n_neighbors), False for padding
    :param outer: the outer radius R_out, angstrom
    :return: (n_centres,), angstrom
    """
    a, b = torch.triu_indices(lengths.shape[1], lengths.shape[1], offset=1, device=lengths.device)
    radial = switch_off(lengths, outer, constants.margin) * valid
    r_a, r_b = lengths[:, a], lengths[:, b]
    share = torch.sigmoid(constants.beta * (r_a - r_b))
    enclosing = r_b + (r_a - r_b) * share + _LAMBERT_W_OF_1_OVER_E / constants.beta
    angular = switch_on(sin2[:, a, b], constants.sin2_threshold, constants.sin2_width)
    present = radial[:, a] * radial[:, b] * angular
    # Relative to the outer radius, so that the exponents stay small whatever the radius.
    boltzmann = present * torch.exp(constants.beta * (outer - enclosing))
    excess = (boltzmann * (enclosing - outer)).sum(1) / (1.0 + boltzmann.sum(1))
    return outer + excess + constants.margin


def axis_cutoff(
    lengths: Tensor, valid: Tensor, outer: float, constants: FrameConstants
) -> Tensor | None:
    """Radius within which a neighbor may be the first axis of a frame; None where all may.

    Smooth minimum of the distances, plus ``axis_margin``, so that the nearest neighbor always
    counts in full. Not in the paper, where all neighbors may.

    :param lengths: (n_centres, n_neighbors), angstrom
    :param valid: (n_centres, n_neighbors), False for padding
    :param outer: the outer radius R_out, angstrom
    :return: (n_centres,), angstrom
    """
    if constants.axis_margin is None:
        return None
    present = switch_off(lengths, outer, constants.margin) * valid
    boltzmann = present * torch.exp(constants.beta * (outer - lengths))
    excess = (boltzmann * (lengths - outer)).sum(1) / (1.0 + boltzmann.sum(1))
    return outer + excess + constants.axis_margin


def pairs_within(
    neighbors: NeighborGeometry,
    sin2: Tensor,
    constants: FrameConstants,
    axis: Tensor | None = None,
) -> NeighborPairs:
    """All ordered pairs of neighbors inside the inner cutoff, with the paper's weights.

    :param sin2: (n_centres, n_neighbors, n_neighbors), squared sine of the angle between neighbors
    :param axis: (n_centres,), see `axis_cutoff`
    """
    lengths, inner = neighbors.lengths, neighbors.inner
    inside = neighbors.valid & (lengths < inner[:, None])
    start = constants.sin2_threshold - constants.sin2_width
    mask = inside[:, :, None] & inside[:, None, :] & (sin2 > start)
    mask.diagonal(dim1=1, dim2=2).fill_(False)
    if axis is not None:
        mask &= (lengths < axis[:, None])[:, :, None]
    centre, first, second = mask.nonzero(as_tuple=True)
    radial = switch_off(lengths, inner[:, None], constants.margin)
    sin2 = sin2[centre, first, second]
    linear = (sin2 - start) / constants.sin2_width
    weights = radial[centre, first] * radial[centre, second]
    weights = weights * switch_on(sin2, start, constants.sin2_width) * linear
    if axis is not None and constants.axis_margin is not None:
        axis_switch = switch_off(lengths, axis[:, None], constants.axis_margin)
        weights = weights * axis_switch[centre, first]
    return NeighborPairs(neighbors, centre, first, second, weights)
